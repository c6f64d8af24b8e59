"""Tables from files, as columns of JSON values: CSV, JSON Lines, Parquet.

``open_table`` reads a file a few rows at a time, again and again, and is what anything that may be large is read by;
``read_columns`` holds all of it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from mlmon_sidecar.baseline.csv_table import MISSING_NUMBERS, CsvTable, typed
from mlmon_sidecar.baseline.tables import Chunk, Source, readable
from mlmon_sidecar.decode.frames import columns_of
from mlmon_sidecar.errors import BaselineError, MissingExtra

__all__ = ["MISSING_NUMBERS", "TABLES", "Table", "open_table", "read_columns", "typed"]

READ_ROWS = 4096  # at a time, where all are kept anyway

Table = dict[str, list[object]]


def open_table(path: Path) -> Source:
    """A file to be read a few rows at a time. The suffix tells the format: .csv, .jsonl or .ndjson, .parquet or .pq.

    Reading raises ``BaselineError`` (``data_unreadable``, ``data_format``), and ``MissingExtra`` for Parquet without
    pyarrow.
    """
    table = TABLES.get(path.suffix.lower())
    if table is None:
        raise BaselineError(
            f"{path.name}: files ending in {path.suffix!r} are not read",
            code="data_format",
            hint=f"Use one of {', '.join(TABLES)}.",
        )
    return table(path)


def read_columns(path: Path) -> Table:
    """Whole columns of one length, all in memory. Otherwise as ``open_table``."""
    columns: Table = {}
    rows = 0
    for chunk, _ in open_table(path).chunks(READ_ROWS):
        count = max(map(len, chunk.values()), default=0)
        for name in chunk:
            columns.setdefault(name, [None] * rows)
        for name, column in columns.items():
            column.extend(chunk.get(name, [None] * count))
        rows += count
    return columns


class JsonLinesTable:
    """One object a line. Objects have no order, so columns are taken by name."""

    ordered = False

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def width(self) -> int:
        with readable(self._path):
            return max(1, len(next(self._rows(), ({}, 1.0))[0]))

    def chunks(self, rows: int) -> Iterator[Chunk]:
        with readable(self._path):
            held: list[dict[str, object]] = []
            done = 0.0
            for row, done in self._rows():
                held.append(row)
                if len(held) == rows:
                    yield Chunk(_united(held), done)
                    held = []
            if held:
                yield Chunk(_united(held), done)

    def _rows(self) -> Iterator[tuple[dict[str, object], float]]:
        size, read = max(1, self._path.stat().st_size), 0
        with self._path.open("rb") as file:
            for line, text in enumerate(file, start=1):
                read += len(text)
                if text.strip():
                    yield self._row(line, text), read / size

    def _row(self, line: int, text: bytes) -> dict[str, object]:
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise BaselineError(f"{self._path.name}, line {line}: not JSON", code="data_format") from error
        if not isinstance(row, dict):
            raise BaselineError(f"{self._path.name}, line {line}: not an object", code="data_format")
        return row


class ParquetTable:
    """A Parquet file, read with pyarrow."""

    ordered = True

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def width(self) -> int:
        with self._opened() as file:
            return max(1, len(file.schema_arrow.names))

    def chunks(self, rows: int) -> Iterator[Chunk]:
        with self._opened() as file:
            size, read = max(1, file.metadata.num_rows), 0
            for batch in file.iter_batches(batch_size=rows):
                read += batch.num_rows
                yield Chunk(columns_of(batch), read / size)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError as error:
            raise MissingExtra("parquet", "reading Parquet files") from error
        try:
            with readable(self._path), parquet.ParquetFile(self._path) as file:
                yield file
        except ArrowException as error:
            raise BaselineError(f"{self._path.name} is not a Parquet file", code="data_format") from error


def _united(rows: Sequence[Mapping[str, object]]) -> Table:
    names = sorted({name for row in rows for name in row})
    return columns_of({name: [row.get(name) for row in rows] for name in names})


TABLES: dict[str, Callable[[Path], Source]] = {
    ".csv": CsvTable,
    ".jsonl": JsonLinesTable,
    ".ndjson": JsonLinesTable,
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
}
