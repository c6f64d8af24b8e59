"""Comma-separated values, a few rows at a time: fields carry no types, so all of a column's decide on one."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlmon_sidecar.baseline.tables import Chunk, readable
from mlmon_sidecar.errors import BaselineError

MISSING_NUMBERS = frozenset({"", "na", "n/a", "nan", "null", "none"})
BOOLEANS = {"true": True, "false": False}
KIND_ROWS = 4096  # read at a time while types are told


class CsvTable:
    """A file of comma-separated values. A column is of one type, which all its fields decide."""

    ordered = True

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def width(self) -> int:
        with readable(self._path):
            return len(self._names())

    def chunks(self, rows: int) -> Iterator[Chunk]:
        with readable(self._path):
            readers = self._readers
            for columns, done in self._fields(rows):
                yield Chunk({name: _read_all(readers[name], column) for name, column in columns.items()}, done)

    @cached_property
    def _readers(self) -> Mapping[str, Callable[[str], object]]:
        kinds = {name: FieldKind() for name in self._names()}
        for columns, _ in self._fields(KIND_ROWS):
            for name, column in columns.items():
                kinds[name].add(column)
        return {name: kind.reader for name, kind in kinds.items()}

    def _names(self) -> list[str]:
        with self._path.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), None)
        if not names:
            raise BaselineError(
                f"{self._path.name} is empty", code="data_format", hint="The first line names the columns."
            )
        if len(set(names)) != len(names):
            raise BaselineError(f"{self._path.name} names a column twice", code="data_format")
        return names

    def _fields(self, rows: int) -> Iterator[tuple[dict[str, list[str]], float]]:
        names, size = self._names(), max(1, self._path.stat().st_size)
        with self._path.open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as file:
            held: list[list[str]] = []
            table = csv.reader(file)
            next(table)
            for line, row in enumerate(table, start=2):
                if len(row) != len(names):
                    if not row:
                        continue
                    raise BaselineError(
                        f"{self._path.name}, row {line}: {len(row)} fields, not {len(names)}",
                        code="data_format",
                        hint="Quote fields that contain commas.",
                    )
                held.append(row)
                if len(held) == rows:
                    yield _columns(names, held), raw.tell() / size
                    held = []
            if held:
                yield _columns(names, held), 1.0


class FieldKind:
    """Which of boolean, whole number, number or text every field of a column can be."""

    def __init__(self) -> None:
        self._possible: list[Callable[[str], object]] = [_boolean, _whole, _real]
        self._given = False

    def add(self, fields: Iterable[str]) -> None:
        if not self._possible:
            return
        distinct = set(fields) - _USUAL_GAPS
        lines = "".join(f"{text}\n" for text in distinct)
        for kind, pattern in _USUAL.items():  # thousands at once, where they are written as nearly all are
            if distinct and pattern.fullmatch(lines):
                self._given = True
                self._possible = [parse for parse in self._possible if parse in kind]
                return
        for text in distinct:
            self._given = self._given or text.lower() not in MISSING_NUMBERS
            self._possible = [parse for parse in self._possible if _reads(parse, text)]

    @property
    def reader(self) -> Callable[[str], object]:
        return self._possible[0] if self._possible and self._given else _text


def typed(column: Sequence[str]) -> list[object]:
    """Booleans, whole numbers, numbers or texts: whichever every field of the column can be.

    >>> typed(["1", "", "3"]), typed(["True", "false"]), typed(["007", "12"])
    ([1, None, 3], [True, False], ['007', '12'])
    """
    kind = FieldKind()
    kind.add(column)
    return _read_all(kind.reader, column)


def _read_all(parse: Callable[[str], object], column: Sequence[str]) -> list[object]:
    """Fields of which ``parse`` is known to read every one."""
    number = _NUMBERS.get(parse)
    if number is not None:
        try:
            numbers: list[Any] = list(map(number, column))
        except ValueError:  # a gap
            pass
        else:
            if number is int or np.isfinite(numbers).all():
                return numbers
    values = {text: parse(text) for text in set(column)}
    return [values[text] for text in column]


def _reads(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _text(text: str) -> object:
    return text or None


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


_NUMBERS: Mapping[Callable[[str], object], Callable[[str], object]] = {_whole: int, _real: float}
_USUAL_GAPS = frozenset({"", "NA", "NaN", "nan", "null", "None"})
_USUAL: Mapping[tuple[Callable[[str], object], ...], re.Pattern[str]] = {
    (_whole, _real): re.compile(r"(?:(?:0|-?[1-9][0-9]{0,17})\n)*"),
    (_real,): re.compile(r"(?:-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?\n)*"),
}
