"""What the benchmarks of the recorder feed it: one model with a baseline, and exchanges of any size."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import uuid_utils

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import End, Exchange
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor

MODEL = "benchmark"
REDACTOR = Redactor(RedactionPolicy.of("default"))
OPTIONS = DecodeOptions(name=MODEL, kind="binary", positive="a", negative="b")
JSON = ((b"content-type", b"application/json"),)
BASELINE_ROWS = 4_000
Row = dict[str, object]


def rows_of(count: int, features: int, seed: int = 1) -> list[Row]:
    """One feature in five is a category, the others are numbers."""
    chance = random.Random(seed)
    categories = features // 5
    return [
        {f"x{i}": round(chance.gauss(0, 1), 6) for i in range(features - categories)}
        | {f"c{i}": f"v{chance.randrange(12)}" for i in range(categories)}
        for _ in range(count)
    ]


def baseline_of(features: int) -> Baseline:
    rows, chance = rows_of(BASELINE_ROWS, features), random.Random(2)
    columns: dict[str, Sequence[object]] = {name: [row[name] for row in rows] for name in rows[0]}
    columns |= {
        "at": [datetime.fromtimestamp(1_700_000_000 + 600 * at, UTC).isoformat() for at in range(BASELINE_ROWS)],
        "score": [chance.random() for _ in rows],
        "class": [chance.choice("ab") for _ in rows],
    }
    return build_baseline(
        columns,
        Roles(timestamp="at", score="score", prediction="class"),
        Purpose(MODEL, kind="binary", positive="a"),
        redact_category=REDACTOR.category,
        policy=REDACTOR.policy.hash,
        created=datetime.now(UTC).isoformat(),
    )


def exchanges_of(count: int, rows: int, features: int, seed: int = 3) -> list[Exchange]:
    """Each with so many rows; one row goes as an object, more as a list."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        asked = rows_of(rows, features, seed + number)
        said = [{"score": chance.random()} for _ in asked]
        request, response = orjson.dumps(asked if rows > 1 else asked[0]), orjson.dumps(said if rows > 1 else said[0])
        made.append(Exchange(
            str(uuid_utils.uuid7()), MODEL, "POST", "/score", 0, 10**6, 10**6, 200, End.COMPLETE, "",
            JSON, (request,), len(request), JSON, (response,), len(response), 0, 0, False, (),
        ))  # fmt: skip
    return made
