"""Tables from files, as columns of JSON scalars: CSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.columns import RedactCategory
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.errors import BaselineError, MissingExtra

MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none"})
BOOLEANS = {"true": True, "false": False}

Table = dict[str, list[object]]


def read_columns(path: Path) -> Table:
    """Whole columns of one length. The suffix tells the format: .csv, .jsonl or .ndjson, .parquet or .pq.

    Raises ``BaselineError`` (``data_unreadable``, ``data_format``), and ``MissingExtra`` for Parquet without pyarrow.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise BaselineError(
            f"{path.name}: files ending in {path.suffix!r} are not read",
            code="data_format",
            hint=f"Use one of {', '.join(READERS)}.",
        )
    try:
        return reader(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BaselineError(
            f"{path} cannot be read: {reason}", code="data_unreadable", hint="Check the path and its permissions."
        ) from error


def build_baseline_from_file(
    path: Path,
    roles: Roles,
    purpose: Purpose,
    *,
    redact_category: RedactCategory,
    policy: str,
    created: str,
    progress: Callable[[float], None] = lambda part: None,
) -> Baseline:
    """``build_baseline`` on a file's columns."""
    return build_baseline(
        read_columns(path), roles, purpose, redact_category=redact_category, policy=policy, created=created,
        source=path.name, progress=progress,
    )  # fmt: skip


def _read_csv(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(file)
        names = next(rows, None)
        if not names:
            raise BaselineError(f"{path.name} is empty", code="data_format", hint="The first line names the columns.")
        if len(set(names)) != len(names):
            raise BaselineError(f"{path.name} names a column twice", code="data_format")
        columns: list[list[str]] = [[] for _ in names]
        for line, row in enumerate(rows, start=2):
            if len(row) != len(names):
                if not row:
                    continue
                raise BaselineError(
                    f"{path.name}, row {line}: {len(row)} fields, not {len(names)}",
                    code="data_format",
                    hint="Quote fields that contain commas.",
                )
            for column, field in zip(columns, row, strict=True):
                column.append(field)
    return {name: typed(column) for name, column in zip(names, columns, strict=True)}


def typed(column: Sequence[str]) -> list[object]:
    """Booleans, whole numbers, numbers or texts: whichever every field of the column can be.

    >>> typed(["1", "", "3"]), typed(["True", "false"]), typed(["007", "12"])
    (([1, None, 3], [True, False], ['007', '12']))
    """
    distinct = set(column)
    for parse in (_boolean, _whole, _real):
        try:
            values = {text: parse(text) for text in distinct}
        except ValueError:
            continue
        if any(value is not None for value in values.values()):
            return [values[text] for text in column]
    return [text or None for text in column]


def _boolean(text: str) -> object:
    if text.lower() in MISSING_NUMBERS:
        return None
    if text.lower() not in BOOLEANS:
        raise ValueError
    return BOOLEANS[text.lower()]


def _whole(text: str) -> object:
    if text.lower() in MISSING_NUMBERS:
        return None
    if text != "0" and text.lstrip("-").startswith("0"):
        raise ValueError  # 007 is a code, and -0 no whole number anybody means
    return int(text) if text.isascii() and "_" not in text else _refuse()


def _real(text: str) -> object:
    if text.lower() in MISSING_NUMBERS:
        return None
    digits = text.lstrip("+-")
    if digits[:1] == "0" and digits[1:2].isdigit():
        raise ValueError
    value = float(text) if text.isascii() and "_" not in text else _refuse()
    return value if math.isfinite(value) else None


def _refuse() -> float:
    raise ValueError


def _read_json_lines(path: Path) -> Table:
    columns: Table = {}
    rows = 0
    for line, item in _json_lines(path):
        if not isinstance(item, dict):
            raise BaselineError(f"{path.name}, line {line}: not an object", code="data_format")
        for name in item.keys() - columns.keys():
            columns[name] = [None] * rows
        for name, column in columns.items():
            column.append(item.get(name))
        rows += 1
    return columns


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            if text.strip():
                try:
                    yield line, orjson.loads(text)
                except orjson.JSONDecodeError as error:
                    raise BaselineError(f"{path.name}, line {line}: not JSON", code="data_format") from error


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise MissingExtra("parquet", "reading Parquet files") from error
    try:
        columns: Table = {}
        for batch in parquet.ParquetFile(path).iter_batches():
            for name, values in _batch_columns(batch):
                columns.setdefault(name, []).extend(values)
    except ArrowException as error:
        raise BaselineError(f"{path.name} is not a Parquet file", code="data_format") from error
    return columns


def _batch_columns(batch: Any) -> Iterable[tuple[str, list[object]]]:
    return ((name, batch.column(at).to_pylist()) for at, name in enumerate(batch.schema.names))


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
}
