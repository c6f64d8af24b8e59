import builtins
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.baseline.reading import open_table, read_columns, typed
from mlmon_sidecar.errors import BaselineError, MissingExtra


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["1", "", "NaN"], [1, None, None]),
        (["1.5", "2", "1e3"], [1.5, 2.0, 1000.0]),
        (["0.5", "-0.25", "inf"], [0.5, -0.25, None]),
        (["True", "false", ""], [True, False, None]),
        (["007", "12"], ["007", "12"]),
        (["1_000", "2"], ["1_000", "2"]),
        (["NA", "DE", ""], ["NA", "DE", None]),
        (["", ""], [None, None]),
        (["٣", "4"], ["٣", "4"]),
    ],
)
def test_columns_of_text_find_their_type(fields: list[str], values: list[object]) -> None:
    found = typed(fields)
    assert found == values
    assert [type(a) for a in found] == [type(b) for b in values]


@given(st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**9)), min_size=1))
def test_whole_numbers_survive_csv(values: list[int | None]) -> None:
    assert typed(["" if v is None else str(v) for v in values]) == values


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1))
def test_numbers_survive_csv(values: list[float]) -> None:
    assert typed([repr(v) for v in values]) == values


ROWS = [{"x": 1.5, "town": "Ulm, Donau", "ok": True}, {"x": None, "town": "Jena", "ok": False}]
COLUMNS = {"x": [1.5, None], "town": ["Ulm, Donau", "Jena"], "ok": [True, False]}


@pytest.fixture(params=["csv", "jsonl", "parquet"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"data.{request.param}"
    if request.param == "csv":
        path.write_text('\ufeffx,town,ok\n1.5,"Ulm, Donau",True\n,Jena,False\n', encoding="utf-8")
    elif request.param == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    else:
        parquet.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def test_every_format_gives_the_same_columns(table: Path) -> None:
    assert read_columns(table) == COLUMNS


def test_json_lines_may_lack_fields(tmp_path: Path) -> None:
    path = tmp_path / "d.ndjson"
    path.write_text('{"a": 1}\n{"b": 2}\n')
    assert read_columns(path) == {"a": [1, None], "b": [None, 2]}


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("d.xlsx", b"", "data_format"),
        ("d.csv", b"", "data_format"),
        ("d.csv", b"a,a\n1,2\n", "data_format"),
        ("d.csv", b"a,b\n1\n", "data_format"),
        ("d.csv", b"a\n\xff\n", "data_unreadable"),
        ("d.jsonl", b"{\n", "data_format"),
        ("d.jsonl", b"[1]\n", "data_format"),
        ("d.parquet", b"not parquet", "data_format"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BaselineError, match=code):
        read_columns(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"absent\.csv cannot be read"):
        read_columns(tmp_path / "absent.csv")


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    (tmp_path / "d.parquet").write_bytes(b"")
    with pytest.raises(MissingExtra, match=r"mlmon-sidecar\[parquet\]"):
        read_columns(tmp_path / "d.parquet")


def test_a_file_becomes_a_baseline_and_says_how_far_it_is(tmp_path: Path) -> None:
    rng, path, parts = np.random.default_rng(1), tmp_path / "d.csv", []
    lines = [f"2026-01-{1 + k // 100:02d} {k % 24:02d}:00:00,{rng.normal():.3f}" for k in range(2000)]
    path.write_text("when,x\n" + "\n".join(lines) + "\n")
    built = build_baseline(
        open_table(path), Roles(timestamp="when"), Purpose("m"), redact_category=lambda column, token: token,
        policy="p", created="2026-02-01T00:00:00Z", source="d.csv", progress=parts.append,
    )  # fmt: skip
    assert (built.source, built.rows, built.reference.hours) == ("d.csv", 2000, 480)
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
