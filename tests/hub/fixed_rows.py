"""The same rows for every test of exactly-once: minutes of fixed event time, a part of which has drifted.

Deterministic, so that each process makes its share for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import apsw
import numpy as np

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.records import MINUTE_NS
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.packing import decode_samples, decode_vector

MODEL = "loans"
VERSIONS = ("v1", "v2")  # every seventh row is of the second
FIRST_MINUTE = int(datetime(2026, 1, 5, 22, 30, tzinfo=UTC).timestamp()) // 60  # midnight comes within the rows
MINUTES = 300
DRIFT = {*range(60, 110), *range(285, MINUTES)}  # the first comes to an end, the second is open when the rows end
BASELINE_ROWS = 6_000
BASELINE_STEP = 5  # minutes between two rows: three weeks
TOWNS = ["Ulm", "Jena", "Trier"]


@dataclass(frozen=True, slots=True)
class Row:
    number: int
    minute: int  # of the rows, from 0
    values: dict[str, object]

    @property
    def version(self) -> str:
        return VERSIONS[self.number % 7 == 0]

    @property
    def alias(self) -> str:
        return f"row-{self.number}"

    @property
    def event_ns(self) -> int:
        return (FIRST_MINUTE + self.minute) * MINUTE_NS + self.number % 997


def make_rows() -> list[Row]:
    rng = np.random.default_rng(7)
    rows: list[Row] = []
    for minute in range(MINUTES):
        values = _values(rng, int(rng.integers(8, 17)), drifted=minute in DRIFT)
        rows += [Row(len(rows) + at, minute, each) for at, each in enumerate(values)]
    return rows


def _values(rng: np.random.Generator, rows: int, *, drifted: bool) -> list[dict[str, object]]:
    amount = rng.lognormal(9.0, 0.5, rows) * (3.0 if drifted else 1.0)
    doors = rng.integers(2, 6, rows)
    towns = rng.choice([*TOWNS, "Bonn"], rows, p=[0.1, 0.2, 0.5, 0.2] if drifted else [0.7, 0.2, 0.1, 0.0])
    score = rng.beta(5, 1.5, rows) if drifted else rng.beta(2, 2, rows)
    return [
        {
            "amount": None if rng.random() < 0.03 else float(amount[at]),
            "doors": int(doors[at]),
            "town": str(towns[at]),
            "member": bool(rng.random() < 0.3),
            "score": float(score[at]),
            "outcome": "yes" if score[at] >= 0.5 else "no",
        }
        for at in range(rows)
    ]


def make_baseline() -> Baseline:
    rng = np.random.default_rng(3)
    values = _values(rng, BASELINE_ROWS, drifted=False)
    columns: dict[str, list[object]] = {name: [row[name] for row in values] for name in values[0]}
    begin = FIRST_MINUTE - BASELINE_ROWS * BASELINE_STEP
    columns["at"] = [(begin + at * BASELINE_STEP) * MINUTE_NS for at in range(BASELINE_ROWS)]
    policy = RedactionPolicy.of("default")
    return build_baseline(
        columns,
        Roles(timestamp="at", prediction="outcome", score="score"),
        Purpose(MODEL),
        redact_category=Redactor(policy).category,
        policy=policy.hash,
        created="2026-01-05T00:00:00Z",
    )


def write_settings(directory: Path, baseline: Path, hub_url: str = "embedded", further: str = "") -> Path:
    """One store in ``directory``; ``further`` are lines of the top table."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "mlmon.toml"
    path.write_text(
        f"""store = "sqlite:///{store_of(directory)}"
flush_interval_seconds = 0.2
{further}
[hub]
url = "{hub_url}"
[models.{MODEL}]
baseline = "{baseline}"
"""
    )
    return path


def store_of(directory: Path) -> Path:
    return directory / "mlmon.db"


def of_version(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for version in VERSIONS:
        chosen = [row for row in rows if row.version == version]
        if chosen:
            yield version, chosen


def columns_of(rows: Sequence[Row]) -> dict[str, object]:
    """Keyword arguments of ``Monitor.observe``, and of ``batch_from_columns``."""
    names = [name for name in rows[0].values if name not in ("score", "outcome")]
    return {
        "features": {name: [row.values[name] for row in rows] for name in names},
        "predictions": [row.values["outcome"] for row in rows],
        "scores": [row.values["score"] for row in rows],
        "ids": [row.alias for row in rows],
        "times": [row.event_ns for row in rows],
    }


@dataclass(frozen=True, slots=True)
class Sealed:
    """All that a store says about the evaluation, decoded."""

    panes: dict[tuple[object, ...], bytes]  # key -> vector, int64 little endian
    samples: dict[tuple[object, ...], object]
    watermark: int
    detector: bytes
    progress: str
    incidents: list[tuple[object, ...]]
    series: list[tuple[object, ...]]
    aliases: list[str]
    waiting: list[bytes]  # vectors that no seal has taken
    lost: int  # flush numbers that never came
    counted: dict[str, int]


def _bytes(packed: bytes) -> bytes:
    return decode_vector(packed).astype("<i8").tobytes()


def watermark(store: Path) -> int:
    """-1: nothing is sealed yet."""
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(10_000)
    try:
        row = db.execute("SELECT watermark FROM model_state").fetchone()
        return -1 if row is None else int(row[0])
    finally:
        db.close()


def read_sealed(store: Path) -> Sealed:
    """Read beside the hub, or after it."""
    db = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(10_000)
    try:
        panes = db.execute(
            "SELECT model, minute, version, segment, layout, vector, samples FROM fleet_panes"
        ).fetchall()
        state = db.execute("SELECT watermark, detector, progress FROM model_state").fetchall()
        ((watermark, detector, progress),) = state or [(-1, b"", "")]
        return Sealed(
            panes={row[:5]: _bytes(row[5]) for row in panes},
            samples={row[:5]: decode_samples(row[6]) for row in panes},
            watermark=watermark,
            detector=detector,
            progress=progress,
            incidents=db.execute("SELECT * FROM incidents ORDER BY key").fetchall(),
            series=db.execute("SELECT * FROM series ORDER BY model, name, label, at_minute").fetchall(),
            aliases=[row[0] for row in db.execute("SELECT alias FROM predictions ORDER BY prediction_id")],
            waiting=[_bytes(row[0]) for row in db.execute("SELECT vector FROM open_panes ORDER BY pane_id")],
            lost=db.execute("SELECT coalesce(sum(lost), 0) FROM recorders").fetchone()[0],
            counted=dict(db.execute("SELECT name, value FROM counters").fetchall()),
        )
    finally:
        db.close()
