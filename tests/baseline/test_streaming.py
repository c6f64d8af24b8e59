"""A baseline depends on the set of rows alone, and its memory on their number not at all."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.reading import open_table

ROLES = Roles(timestamp="at", score="score", label="label")
UNTIMED = Roles(score="score", label="label")


def same(_column: str, token: str) -> str:
    return token


def built(data: object, roles: Roles = ROLES, chunk_rows: int | None = None, **options: object) -> Baseline:
    return build_baseline(
        data, roles, Purpose("m"), redact_category=same, policy="", created="", chunk_rows=chunk_rows,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def as_text(baseline: Baseline) -> str:
    return json.dumps(baseline.to_document())


def rows_of(count: int, seed: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    odd: list[object] = [None, 1, 2.5, "x", True, [1], float("inf"), 10**400]
    return [
        {
            "at": 1_700_000_000_000_000_000 + int(rng.integers(0, 10**15)),
            "amount": float(rng.lognormal(3, 1)) if rng.random() < 0.9 else None,
            "doors": int(rng.integers(2, 6)),
            "town": str(rng.choice(["Ulm", "Jena", "Trier", "Bonn"])),
            "mixed": odd[int(rng.integers(len(odd)))],
            "flag": bool(rng.random() < 0.2),
            "user": f"u{rng.integers(10**9)}",
            "vector": [float(v) for v in rng.normal(size=70)] if rng.random() < 0.8 else None,
            "note": "word " * int(rng.integers(1, 160)),
            "score": float(rng.random()),
            "label": int(rng.random() < 0.4),
        }
        for _ in range(count)
    ]


ROWS = rows_of(160, 3)
EXPECTED = {roles: as_text(built(ROWS, roles)) for roles in (ROLES, UNTIMED)}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(ROWS), st.sampled_from([1, 2, 3, 17, 100, 159, 160, 20_000]), st.sampled_from([ROLES, UNTIMED]))
def test_order_and_batch_size_change_no_byte(rows: list[dict[str, object]], chunk_rows: int, roles: Roles) -> None:
    assert as_text(built(rows, roles, chunk_rows)) == EXPECTED[roles]


@pytest.mark.parametrize("chunk_rows", [1000, 20_000])
def test_order_and_batch_size_change_no_byte_of_crowded_columns(chunk_rows: int) -> None:
    rng = np.random.default_rng(5)
    rows = 24_000
    columns = {
        "x": np.where(rng.random(rows) < 0.3, 9.99, rng.lognormal(2, 2, rows)),
        "token": np.array([f"t{k}" for k in np.minimum(rng.zipf(1.3, rows), 10**7)], dtype=object),
        "score": rng.random(rows),
        "label": (rng.random(rows) < 0.5).astype(int),
    }
    order = rng.permutation(rows)
    shuffled = {name: column[order] for name, column in columns.items()}
    assert as_text(built(shuffled, UNTIMED, chunk_rows)) == as_text(built(columns, UNTIMED))


def test_every_form_of_a_table_gives_the_same_baseline(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(
        {
            "at": 1_700_000_000_000_000_000 + rng.integers(0, 10**15, 500),
            "x": rng.normal(size=500),
            "n": rng.integers(0, 50, 500),
            "town": rng.choice(["Ulm", "Jena"], 500),
            "score": rng.random(500),
            "label": rng.integers(0, 2, 500),
        }
    )
    frame.to_csv(tmp_path / "d.csv", index=False)
    frame.to_json(tmp_path / "d.jsonl", orient="records", lines=True, double_precision=15)
    parquet.write_table(pa.Table.from_pandas(frame), tmp_path / "d.parquet")
    expected = built({name: frame[name].tolist() for name in frame}).to_document()
    for data in (
        frame,
        pa.Table.from_pandas(frame),
        open_table(tmp_path / "d.csv"),
        open_table(tmp_path / "d.parquet"),
    ):
        assert built(data).to_document() == expected
    by_name = built(open_table(tmp_path / "d.jsonl")).layout  # objects have no order; doubles lose their last digits
    assert [feature.name for feature in by_name.features] == ["n", "town", "x"]


def test_an_array_names_its_columns_by_number() -> None:
    array = np.random.default_rng(7).normal(size=(300, 3))
    names = [feature.name for feature in built(array, Roles()).layout.features]
    assert names == ["feature_0", "feature_1", "feature_2"]


PROGRAM = """
import sys, resource
import numpy as np
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.tables import Chunk
class Made:
    width, ordered = 5, True
    def __init__(self, rows): self.rows = rows
    def chunks(self, rows):
        for start in range(0, self.rows, 2000):
            rng = np.random.default_rng(start)
            columns = {"at": (np.arange(start, start + 2000) * 10**10).tolist(), "x": rng.normal(size=2000).tolist(),
                "n": rng.integers(0, 10**9, 2000).tolist(), "town": [f"t{k}" for k in rng.integers(0, 10**6, 2000)],
                "score": rng.random(2000).tolist()}
            yield Chunk(columns, (start + 2000) / self.rows)
def build(rows):
    return build_baseline(Made(rows), Roles(timestamp="at", score="score"), Purpose("m"),
        redact_category=lambda column, token: token, policy="", created="")
build(16_000)  # memory of all bounds is taken by now
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
build(int(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_rows() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM, "56000"], capture_output=True, text=True, check=True).stdout
    assert int(told) < 9_000  # KiB; the 40,000 rows more would take 18,000 as Python values
