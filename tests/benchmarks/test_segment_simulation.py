"""The simulation of segments counts as the recorder does, and its quick form shows what the long one measures."""

import sys
from pathlib import Path

import numpy as np

from mlmon_sidecar.aggregate.panes import RowCounter
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.hub.plan import ModelPlan

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.drift.counting import column_of, keep
from benchmarks.drift.segments import (
    COUNTRIES,
    COUNTRY,
    PLANS,
    QUIET_HOURS,
    Model,
    delay,
    incidents,
    value_of,
)

COLUMNS = 3  # the score included


def test_pairs_are_counted_as_the_recorder_counts_rows() -> None:
    model = Model.of(1, COLUMNS)
    table = model.service.rows(4_000)
    country = np.array([int(str(name)[1:]) for name in table[COUNTRY]])
    plan = np.array([int(str(name)[1:]) for name in table["plan"]])
    counts = []
    for name, cuts in zip([*map(column_of, range(COLUMNS - 1)), "score"], model.cuts, strict=True):
        drawn = np.zeros((COUNTRIES, PLANS, len(cuts) + 2), np.int64)
        place = [len(cuts) + 1 if value is None else int(np.searchsorted(cuts, value)) for value in table[name]]  # type: ignore[arg-type]
        np.add.at(drawn, (country, plan, np.array(place)), 1)
        counts.append(drawn)
    batch = batch_from_columns(
        "drift", now_ns=0, options=DecodeOptions("drift", kind="regression"), segments=table["plan"],
        scores=table["score"], features={name: table[name] for name in (*map(column_of, range(COLUMNS - 1)), COUNTRY)},
    )  # fmt: skip
    counter = RowCounter(model.layout, keep)
    tally, _ = counter.count(batch, slice(0, batch.rows), np.zeros(batch.rows, np.int64), 1)
    cells, vector = model.layout.segment_cells, model.vector(counts)
    assert np.array_equal(vector[cells.blocks[0].start :], tally.cells[0, cells.blocks[0].start :])
    assert np.array_equal(vector[list(cells.sources)], tally.cells[0, list(cells.sources)])
    assert {value_of(COUNTRY, at) for at in range(20)} <= set(model.layout.segments.dimensions[0].values)


def test_the_quick_form_is_quiet_and_finds_drift_soon() -> None:
    model = Model.of(2, COLUMNS)
    plan = ModelPlan("drift", model.layout, model.baseline(15), service=False)
    assert incidents(plan, model.quiet(15, 4)) == {}
    found = delay(model, plan, 15, QUIET_HOURS * 60 + 20)
    assert found is not None
    assert found <= 6
