"""How soon a drift whose beginning is known is told: ``python benchmarks/backtest_car_loan.py [UNPACKED_WHEEL]``.

NannyML's synthetic car loans: half a year like the reference, then ``car_value``, ``salary_range``, ``loan_length`` and
``repaid_loan_on_prev_car`` are drawn differently, and the rest as before. Backtested minute by minute; for each column,
the rows between the onset and the alert that names it. Exits with 1 where a drifted column is not named within 1,000
rows, or any column before the onset.

Without the wheel (``pip download --no-deps nannyml==0.13.1``, ``python -m zipfile -e``) the part that the demo brings
is used, 480 rows a day. With it, every row, at its own time and with the scores of NannyML's model.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mlmon_sidecar.backtest.known import KnownIncident, detections
from mlmon_sidecar.backtest.replay import replay
from mlmon_sidecar.backtest.source import rows_source
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.reading import read_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.demo.data import DRIFTING, FEATURES, load
from mlmon_sidecar.demo.phases import ROWS_PER_DAY
from mlmon_sidecar.demo.schedule import DAY, Calendar, baseline_moments, moments
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor

MODEL = "car_loans"
ALLOWED_ROWS = 1_000
WHEEL_DATA = "nannyml/datasets/data/synthetic_car_loan_{part}.csv"
WHEEL_ONSET = 25_000  # row of the analysis part
SCORES = {"prediction": "y_pred", "score": "y_pred_proba"}
REDACTOR = Redactor(RedactionPolicy.of("default"))


def of_wheel(wheel: Path) -> tuple[Path, Path, datetime, Roles]:
    """(reference, later rows, when the drift begins, roles of the columns)."""
    reference, analysis = (wheel / WHEEL_DATA.format(part=part) for part in ("reference", "analysis"))
    with analysis.open(newline="", encoding="utf-8") as file:
        onset = next(row["timestamp"] for at, row in enumerate(csv.DictReader(file)) if at == WHEEL_ONSET)
    roles = Roles(timestamp="timestamp", id="id", label="repaid", **SCORES)
    return reference, analysis, datetime.fromisoformat(onset).replace(tzinfo=UTC), roles


def of_demo(folder: Path) -> tuple[Path, Path, datetime, Roles]:
    loans = load()
    calendar = Calendar(start=20_000 * DAY, anchor=0.0)
    history = [row.features for row in (*loans.healthy, *loans.drifted)]
    times = moments(calendar.start, len(history))
    onset = datetime.fromtimestamp(times[len(loans.healthy)], UTC)
    reference = [row.features for row in loans.reference]
    paths = folder / "reference.csv", folder / "history.csv"
    write(paths[0], reference, baseline_moments(calendar, len(reference)))
    write(paths[1], history, times)
    return *paths, onset, Roles(timestamp="timestamp")


def write(path: Path, rows: Sequence[Mapping[str, object]], times: Sequence[float]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", *FEATURES))
        for row, moment in zip(rows, times, strict=True):
            writer.writerow((datetime.fromtimestamp(moment, UTC).isoformat(), *row.values()))


def baseline_of(reference: Path, roles: Roles) -> Baseline:
    return build_baseline(
        read_columns(reference), roles, Purpose(MODEL), redact_category=REDACTOR.category, policy=REDACTOR.policy.hash,
        created=datetime.now(UTC).isoformat(),
    )  # fmt: skip


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mlmon-benchmark-") as folder:
        wheel = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        reference, history, onset, roles = of_demo(Path(folder)) if wheel is None else of_wheel(wheel)
        baseline = baseline_of(reference, roles)
        begun = time.process_time()
        space = baseline.layout.prediction
        options = DecodeOptions(
            MODEL, kind=space.kind if space.kind != "none" else "auto", positive=space.positive or "1"
        )
        source = rows_source(history, None, Roles(), baseline, options, REDACTOR, minutes=1)
        replayed = replay([ModelPlan(MODEL, baseline.layout, baseline)], source.deltas)
        spent = time.process_time() - begun
    at_ns = int(onset.timestamp() * 1e9)
    known = [KnownIncident(name, at_ns, 1 << 62, frozenset({name})) for name in DRIFTING]
    alerts = [alert for alert in replayed.alerts[0] if alert.incident.rule == "feature_drift"]
    found, _ = detections(known, alerts, replayed.timeline)
    early = [a.incident for a in replayed.alerts[0] if a.incident.opened_minute * 60 < onset.timestamp()]
    others = {name for alert in alerts for name in alert.incident.features} - set(DRIFTING)
    healthy = replayed.timeline.rows_before(int(onset.timestamp()) // 60)
    days = healthy / ROWS_PER_DAY if wheel is None else (onset.timestamp() / 60 - replayed.timeline.start) / 1440
    print(f"{replayed.timeline.total:,} rows, minute by minute: {spent:.1f} s of processor time")
    print(f"before the onset ({healthy:,} rows, {days:.0f} days): {len(early)} alerts")
    for item in found:
        told = (
            "not named" if item.delay_hours is None else f"named after {item.rows:>4,} rows, {item.delay_hours:5.1f} h"
        )
        print(f"  {item.known.name:<24} {told}")
    print(f"columns named that did not drift: {', '.join(sorted(others)) or 'none'}")
    late = [item for item in found if item.alert is None or item.rows > ALLOWED_ROWS]
    return 1 if late or early or others else 0


if __name__ == "__main__":
    sys.exit(main())
