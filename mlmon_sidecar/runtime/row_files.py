"""Rows out of files, one at a time: CSV, JSON Lines, Parquet. Memory does not grow with the file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import orjson

from mlmon_sidecar.errors import ConfigError, MissingExtra

ROWS_A_PIECE = 8_192  # of a Parquet file

Progress = Callable[[float], None]
Row = dict[str, Any]


def rows_of(path: Path, progress: Progress) -> Iterator[Row]:
    """Rows by column name; ``progress`` hears which share of the file is read.

    Raises ``ConfigError`` (``data_unreadable``, ``data_format``), and ``MissingExtra`` for Parquet without pyarrow.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(
            f"{path.name}: files ending in {path.suffix!r} are not read",
            code="data_format",
            hint=f"Use one of {', '.join(_READERS)}.",
        )
    try:
        yield from reader(path, progress)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{path} cannot be read ({type(error).__name__})",
            code="data_unreadable",
            hint="Check the path, its permissions and that it is UTF-8 text or Parquet.",
        ) from error


def _csv(path: Path, progress: Progress) -> Iterator[Row]:
    size = path.stat().st_size or 1
    with path.open("rb") as raw, TextIOWrapper(raw, "utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, strict=True)):
            if number % ROWS_A_PIECE == 0:
                progress(raw.tell() / size)
            yield row


def _json_lines(path: Path, progress: Progress) -> Iterator[Row]:
    size = path.stat().st_size or 1
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if number % ROWS_A_PIECE == 0:
                progress(file.tell() / size)
            if line.strip():
                yield _json_row(line)


def _json_row(line: bytes) -> Row:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return row if isinstance(row, dict) else {}


def _parquet(path: Path, progress: Progress) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise MissingExtra("parquet", "Parquet files") from None
    try:
        with ParquetFile(path) as file:
            total, done = file.metadata.num_rows or 1, 0
            for piece in file.iter_batches(ROWS_A_PIECE):
                progress(done / total)
                done += piece.num_rows
                yield from piece.to_pylist()
    except ArrowException as error:
        raise ConfigError(
            f"{path.name} is no Parquet file that can be read ({type(error).__name__})", code="data_format"
        ) from error


_READERS: dict[str, Callable[[Path, Progress], Iterator[Row]]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".pq": _parquet,
}
