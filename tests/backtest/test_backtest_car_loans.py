"""The demo's car loans: four columns begin to differ at a known row; the others never do."""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlmon_sidecar.backtest.known import KnownIncident, detections
from mlmon_sidecar.backtest.replay import replay
from mlmon_sidecar.backtest.source import rows_source
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.reading import read_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.demo.data import DRIFTING, FEATURES, load
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor

REDACTOR = Redactor(RedactionPolicy.of("default"))
START = 1_728_000_000
SECONDS_A_ROW = 180


def write(path: Path, rows: Sequence[Mapping[str, object]], start: int) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", *FEATURES))
        for at, row in enumerate(rows):
            writer.writerow((datetime.fromtimestamp(start + at * SECONDS_A_ROW, UTC).isoformat(), *row.values()))
    return path


def test_each_drifted_column_is_named_within_a_thousand_rows_and_none_before(tmp_path: Path) -> None:
    loans = load()
    reference = [row.features for row in loans.reference]
    data = write(tmp_path / "reference.csv", reference, START - len(reference) * SECONDS_A_ROW)
    built = build_baseline(
        read_columns(data),
        Roles(timestamp="timestamp"), Purpose("car_loans"), redact_category=REDACTOR.category,
        policy=REDACTOR.policy.hash, created="",
    )  # fmt: skip
    history = write(tmp_path / "history.csv", [row.features for row in (*loans.healthy, *loans.drifted)], START)
    source = rows_source(history, None, Roles(), built, DecodeOptions("car_loans"), REDACTOR, minutes=60)
    replayed = replay([ModelPlan("car_loans", built.layout, built)], source.deltas)
    onset = START + len(loans.healthy) * SECONDS_A_ROW
    known = [KnownIncident(name, onset * 10**9, 1 << 62, frozenset({name})) for name in DRIFTING]
    found, unmatched = detections(known, replayed.alerts[0], replayed.timeline)
    assert all(item.alert is not None and item.rows <= 1_000 for item in found)
    assert not unmatched
    assert all(alert.incident.opened_minute * 60 >= onset for alert in replayed.alerts[0])
    assert {name for alert in replayed.alerts[0] for name in alert.incident.features} == set(DRIFTING)
