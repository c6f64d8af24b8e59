"""The simulation counts as the recorder does, and its quick form shows what the long one measures."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.aggregate.panes import RowCounter
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.records import WEIGHT_UNIT

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.drift.__main__ import quiet
from benchmarks.drift.counting import column_of, count, keep, layout_of, scalars
from benchmarks.drift.delays import TWINS, delay, second_delay
from benchmarks.drift.monitoring import month_of
from benchmarks.drift.streams import BATCH_ROWS, DAY, STREAMS, traffic
from benchmarks.drift.versions import QUIET, Model, false_incidents, hours_to_find

FEATURES = 10  # eight numeric and two categorical


@pytest.mark.parametrize("name", ["combined", "daily batch", "many categories"])
def test_whole_months_are_counted_as_the_recorder_counts(name: str) -> None:
    seen = traffic(replace(STREAMS[name], rows_per_hour=60.0), 1, 2)
    layout = layout_of(seen, FEATURES, DAY)
    counts = count(layout, seen, FEATURES)
    columns = {column_of(feature): scalars(*seen.values(feature)) for feature in range(FEATURES)}
    batch = batch_from_columns("m", now_ns=0, features=columns)
    weight = np.where(seen.batch, round(WEIGHT_UNIT / BATCH_ROWS), WEIGHT_UNIT).astype(np.int64)
    batch = replace(batch, weight=weight)
    hours = seen.minutes // 60
    tally, _ = RowCounter(layout, keep).count(batch, slice(0, batch.rows), seen.minute // 60, hours)
    assert np.array_equal(counts.by(60, 0, seen.minutes), tally.cells[:, counts.cells])


def test_twins_differ_in_one_feature_after_the_onset_alone() -> None:
    month = month_of(STREAMS["3 rows a minute"], 1, 3, baseline_days=2, days=5)
    drift = TWINS[0].of(month, 3)
    moved = month.counts.with_drift(month.seen, drift)
    differs = moved.weights != month.counts.weights
    assert not differs[: drift.minute].any()
    assert differs[drift.minute :, month.counts.spans[0]].any()
    assert not np.delete(differs, month.counts.spans[0], axis=1).any()


def test_the_quick_form_is_quiet() -> None:
    iid, combined = quiet(["3 rows a minute", "combined"], 1, 3, 15, minutes=False)
    assert iid.hourly == combined.hourly == [0]
    assert iid.detectable[0] < 0.15


def test_the_quick_form_finds_drift_soon() -> None:
    month = month_of(STREAMS["iid"], 1, FEATURES, baseline_days=15, days=6)
    delays = [delay(month, twin.of(month, FEATURES), 60) for twin in TWINS]
    assert all(found is not None and found <= 3 for found in delays)
    alone, beside = second_delay(month, 60)
    assert alone is not None
    assert beside is not None
    assert beside <= 2 * alone


def test_versions_that_are_alike_stay_quiet_and_a_shifted_canary_is_found() -> None:
    model = Model("iid", 1, 3)
    assert [false_incidents(model, scenario) for scenario in QUIET] == [0, 0, 0]
    assert (hours_to_find(model, 0.1, 0.5) or 99) <= 12
    assert hours_to_find(model, 0.1, 0.0) is None
