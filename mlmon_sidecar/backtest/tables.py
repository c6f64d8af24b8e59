"""A table from a file, read as serving would have seen it: line by line, and a bad line costs itself alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from mlmon_sidecar.baseline.reading import MISSING_NUMBERS, Table, read_columns, typed
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.layout import Layout


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole columns of one length, and how many lines were no rows."""

    columns: Table
    bad: int = 0

    @property
    def rows(self) -> int:
        return max(map(len, self.columns.values()), default=0)


def read_table(path: Path, layout: Layout | None = None) -> Lines:
    """CSV, JSON Lines or Parquet, told by the suffix.

    Args:
        layout: of whose numeric features the fields of a CSV file are read one by one, so that a text among numbers
            is one unusable value and does not make the whole column text.

    Raises ``BaselineError`` (``data_unreadable``, ``data_format``), and ``MissingExtra`` for Parquet without pyarrow.
    """
    try:
        if path.suffix.lower() == ".csv":
            return _csv(path, frozenset() if layout is None else frozenset(f.name for f, _ in layout.numeric()))
        if path.suffix.lower() in (".jsonl", ".ndjson"):
            return _json_lines(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BaselineError(
            f"{path} cannot be read: {reason}", code="data_unreadable", hint="Check the path and its permissions."
        ) from error
    return Lines(read_columns(path))


def number_or_text(text: str) -> object:
    """
    >>> number_or_text("1.50"), number_or_text("n/a"), number_or_text("unknown")
    (1.5, None, 'unknown')
    """
    if text.lower() in MISSING_NUMBERS:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _csv(path: Path, numeric: frozenset[str]) -> Lines:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        names = next(reader, None)
        if not names or len(set(names)) != len(names):
            raise BaselineError(
                f"{path.name} names {'a column twice' if names else 'no columns'}",
                code="data_format",
                hint="The first line names the columns.",
            )
        rows, bad = [], 0
        for row in reader:
            if len(row) == len(names):
                rows.append(row)
            elif row:
                bad += 1
    fields: Sequence[Sequence[str]] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return Lines(
        {
            name: [number_or_text(text) for text in column] if name in numeric else typed(column)
            for name, column in zip(names, fields, strict=True)
        },
        bad,
    )


def _json_lines(path: Path) -> Lines:
    items, bad = [], 0
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                item = orjson.loads(line)
            except orjson.JSONDecodeError:
                item = None
            if isinstance(item, dict):
                items.append(item)
            else:
                bad += 1
    names = dict.fromkeys(name for item in items for name in item)
    return Lines({name: [item.get(name) for item in items] for name in names}, bad)
