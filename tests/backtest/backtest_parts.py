"""A small history with a drift, a lost value and worse answers, its labels, and the baseline it is compared with."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor

MODEL = "loans"
DAY = 86_400
START = 20_000 * DAY  # a midnight, Unix seconds
REDACTOR = Redactor(RedactionPolicy.of("default"))
OPTIONS = DecodeOptions(MODEL, version="v1", kind="binary", positive="yes", negative="no")
ROLES = Roles(timestamp="at", id="tx", score="score", label="truth")
DRIFTED_DAY, BROKEN_DAY, DAYS = 3, 4, 9
COLUMNS = ("at", "tx", "amount", "town", "score")


def rows(first_day: int, days: int, seed: int, *, story: bool = False) -> list[dict[str, Any]]:
    """30 an hour in three minutes. ``story``: amounts rise on ``DRIFTED_DAY``, answers mean nothing from ``BROKEN_DAY``
    on."""
    chance = np.random.default_rng(seed)
    made = []
    for day in range(first_day, first_day + days):
        drifted, broken = story and day >= DRIFTED_DAY, story and day >= BROKEN_DAY
        for at in range(24 * 30):
            hour, number = divmod(at, 30)
            moment = START + day * DAY + hour * 3_600 + (number // 10) * 600 + number % 10
            score = float(chance.uniform())
            true = chance.uniform() < (0.5 if broken else 0.05 + 0.9 * (score > 0.5))
            made.append(
                {
                    "at": datetime.fromtimestamp(moment, UTC).isoformat(),
                    "tx": f"t{day}-{at}",
                    "amount": round(float(chance.normal(50 + 12 * drifted, 10)), 3),
                    "town": str(chance.choice(["Bonn", "Ulm", "Jena"])),
                    "score": round(score, 6),
                    "truth": "yes" if true else "no",
                    "observed_at": moment + DAY + int(chance.integers(DAY)),
                }
            )
    return made


@cache
def baseline() -> Baseline:
    healthy = rows(-20, 10, seed=1)
    columns = {name: [row[name] for row in healthy] for name in (*COLUMNS, "truth")}
    return build_baseline(
        columns, ROLES, Purpose(MODEL, version="v0", kind="binary", positive="yes"), redact_category=REDACTOR.category,
        policy=REDACTOR.policy.hash, created="2024-01-01T00:00:00+00:00",
    )  # fmt: skip


@cache
def story() -> tuple[dict[str, Any], ...]:
    return tuple(rows(0, DAYS, seed=2, story=True))


def write(path: Path, table: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    return path
