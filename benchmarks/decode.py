"""What reading and counting predictions costs, from the bytes on: ``python benchmarks/decode.py``.

Microseconds of one processor a row, for batches and single rows of 10 and 50 features (a fifth of them categories, a
fifth whole numbers), beside plain ``orjson.loads`` of the same bodies and, where ``--whylogs`` names an interpreter
that has it, whylogs. Cases alternate; the cheapest of all rounds counts, because other programs only ever add.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from mlmon_sidecar.aggregate import PaneBuilder
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import Decoded, End, Exchange
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.statistics.layout import Layout

Row = dict[str, object]
BATCH = 1_000
SLICE = 64  # single rows that the recorder takes at once
REFERENCE_ROWS = 4_000
REDACTOR = Redactor(RedactionPolicy.of("default"))
OPTIONS = DecodeOptions("benchmark", kind="binary", positive="yes", negative="no")
JSON = ((b"content-type", b"application/json"),)


@dataclass(frozen=True)
class Case:
    """Exchanges of so many rows in all, and where they are counted."""

    name: str
    exchanges: Sequence[Exchange]
    rows: int
    layout: Layout

    def parse(self) -> object:
        return [orjson.loads(body) for e in self.exchanges for body in (*e.request_body, *e.response_body)]

    def decode(self) -> Decoded:
        return decode(self.exchanges, OPTIONS, unix_at)

    def count(self, builder: PaneBuilder) -> None:
        for batch in self.decode().batches:
            builder.add_batch(batch)


def unix_at(monotonic_ns: int) -> int:
    return 1_700_000_000_000_000_000 + monotonic_ns


def rows_of(features: int, rows: int, seed: int) -> list[Row]:
    chance = random.Random(seed)
    makers: list[Callable[[], object]] = [
        lambda: round(chance.gauss(0, 1), 4),
        lambda: round(chance.expovariate(1), 3),
        lambda: round(chance.uniform(0, 100), 2),
        lambda: chance.randrange(100),
        lambda: chance.choice(("red", "green", "blue")),
    ]
    return [{f"feature_{at}": makers[at % 5]() for at in range(features)} for _ in range(rows)]


def layout_of(features: int) -> Layout:
    rows = rows_of(features, REFERENCE_ROWS, 1)
    columns: dict[str, list[object]] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["at"] = [datetime.fromtimestamp(at, UTC).isoformat() for at in range(REFERENCE_ROWS)]
    columns["score"] = [random.Random(at).random() for at in range(REFERENCE_ROWS)]
    return build_baseline(
        columns,
        Roles(timestamp="at", score="score"),
        Purpose(OPTIONS.name, kind="binary", positive="yes"),
        redact_category=REDACTOR.category,
        policy=REDACTOR.policy.hash,
        created=datetime.now(UTC).isoformat(),
    ).layout


def exchange(at: int, request: object, response: object) -> Exchange:
    asked, answered = orjson.dumps(request), orjson.dumps(response)
    return Exchange(
        f"0190aaaa-0000-7000-8000-{at:012}", OPTIONS.name, "POST", "/score", at, at + 1, at + 2, 200, End.COMPLETE, "",
        JSON, (asked,), len(asked), JSON, (answered,), len(answered), 0, 0, False, (),
    )  # fmt: skip


def cases(features: int) -> list[Case]:
    layout, chance = layout_of(features), random.Random(3)
    rows = rows_of(features, BATCH, 2)
    scores = [round(chance.random(), 4) for _ in rows]
    batch = [exchange(0, rows, {"predictions": scores})]
    single = [exchange(at, rows[at], {"score": scores[at]}) for at in range(SLICE)]
    return [
        Case(f"{features} features, {BATCH:,} rows a request", batch, BATCH, layout),
        Case(f"{features} features, 1 row a request", single, SLICE, layout),
    ]


def costs(case: Case, rounds: int) -> dict[str, float]:
    """Microseconds a row of each way."""
    builder = PaneBuilder(case.layout, REDACTOR.category)
    ways: dict[str, Callable[[], object]] = {
        "orjson.loads": case.parse,
        "decode": case.decode,
        "decode and count": lambda: case.count(builder),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time_ns()
            way()
            best[name] = min(best[name], (time.process_time_ns() - begun) / 1e3 / case.rows)
    if case.decode().dropped:
        raise SystemExit(f"{case.name}: not decoded")
    return best


def whylogs_costs(python: str, features: int) -> dict[str, float]:
    bodies = b"\n".join(orjson.dumps(rows_of(features, BATCH, seed)) for seed in range(3))
    peer = Path(__file__).with_name("whylogs_peer.py")
    done = subprocess.run([python, str(peer)], input=bodies, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = orjson.loads(done.stdout.splitlines()[-1])
    return {f"whylogs, {name}": cost for name, cost in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="of each way; the cheapest counts")
    parser.add_argument("--whylogs", metavar="PYTHON", help="an interpreter with whylogs, pandas and orjson")
    said = parser.parse_args()
    print(f"Python {sys.version.split()[0]}; microseconds of one processor a row")
    for features in (10, 50):
        peers = {} if said.whylogs is None else whylogs_costs(said.whylogs, features)
        for case in cases(features):
            print(case.name)
            found = costs(case, said.rounds)
            whole = found["decode and count"]
            for name, cost in (found | (peers if len(case.exchanges) == 1 else {})).items():
                print(f"  {name:<18} {cost:9.2f} us {1e6 / cost:10,.0f} rows/s   {cost / whole:8.2f} x")


if __name__ == "__main__":
    main()
