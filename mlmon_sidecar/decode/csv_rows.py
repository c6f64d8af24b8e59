"""CSV with or without a header line (RFC 4180, https://www.rfc-editor.org/rfc/rfc4180).

The content type may say ``header=present`` or ``absent`` and, as some clients do, ``delimiter``; else both are found
out: the delimiter is a comma, and a first line of distinct names over values of other types is a header.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from mlmon_sidecar.decode.columns import MAX_COLUMNS
from mlmon_sidecar.decode.json_rows import positional_names
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import expect_rows, wrong_shape
from mlmon_sidecar.decode.tabular_answers import answers_of
from mlmon_sidecar.decode.tensors import malformed
from mlmon_sidecar.decode.text_cells import kind_of, typed, value_of
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MEDIA_TYPES = {"text/csv": ",", "application/csv": ",", "text/tab-separated-values": "\t"}
DELIMITERS = {",": ",", ";": ";", "|": "|", "\t": "\t", "tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
ENOUGH_LINES = 32  # that are looked at to tell whether the first one is a header
_NAME = re.compile(r"[^\W\d][\w .:/()-]{0,127}")
Line = Sequence[str]


class CsvDecoder:
    """Lines are rows, cells get their column's type."""

    name = "csv"

    def claims(self, side: Side, direction: Direction) -> str:
        return f"content type {side.media_type}" if side.media_type in MEDIA_TYPES else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        lines = lines_of(side, options.max_rows + 1)
        header = header_of(lines, side.parameters.get("header", ""), options)
        rows = lines if header is None else lines[1:]
        expect_rows(len(rows), options)
        width = len(header) if header else Counter(map(len, rows)).most_common(1)[0][0]
        bad = [at for at, row in enumerate(rows) if len(row) != width]
        if 2 * len(bad) >= len(rows):
            raise wrong_shape("most rows are of another width than the header, or of different ones")
        if bad:
            filler = [""] * width
            rows = [row if len(row) == width else filler for row in rows]
        names = _distinct(header) if header else positional_names(width, options.feature_names)
        columns = {name: typed(cells) for name, cells in zip(names, zip(*rows, strict=True), strict=True)}
        return RequestRows(len(rows), columns, positional=header is None, width=0 if header else len(names), bad=bad)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        """One line a row; or all rows' values on a single line, as some containers answer."""
        lines = lines_of(side, rows + 1)
        if len(lines) == rows + 1 and all(kind_of(name) is str for name in lines[0]):
            table = [dict(zip(lines[0], map(value_of, line), strict=False)) for line in lines[1:]]
            return answers_of(table, rows, options, table)
        values: list[object] = [_values(line) for line in lines]
        if len(lines) == 1 and len(lines[0]) == rows:
            values = list(map(value_of, lines[0]))
        return answers_of(values, rows, options, values)


def lines_of(side: Side, most: int) -> list[Line]:
    """Lines that are not empty.

    Raises:
        DecodeError: ``body_too_large`` for more than ``most``, ``malformed`` for quotes that do not end.
    """
    given = side.parameters.get("delimiter", "")
    delimiter = DELIMITERS.get(given) or MEDIA_TYPES.get(side.media_type, ",")
    lines: list[Line] = []
    try:
        for line in _reader(side.text(), delimiter):
            if len(line) > MAX_COLUMNS:
                raise wrong_shape("a line has too many cells")
            if len(lines) >= most:
                raise DecodeError("too many lines in one body", code=DropReason.BODY_TOO_LARGE)
            if line:
                lines.append(line)
    except csv.Error:
        lines = []
    if not lines:
        raise malformed("the body is not CSV")
    return lines


def header_of(lines: Sequence[Line], declared: str, options: DecodeOptions) -> Line | None:
    """The first line, where it names columns."""
    first, rest = lines[0], lines[1 : 1 + ENOUGH_LINES]
    if declared in ("present", "absent"):
        return first if declared == "present" else None
    if options.feature_names and list(first) == list(options.feature_names[: len(first)]):
        return first
    if not rest or len(set(first)) < len(first) or not all(map(_NAME.fullmatch, first)):
        return None
    if any(kind_of(name) is not str for name in first):
        return None
    cells = [{line[at] for line in rest if len(line) == len(first)} for at in range(len(first))]
    if any(kind_of(cell) is not str for column in cells for cell in column if cell):
        return first
    texts_alone = all(" " not in name and name not in column for name, column in zip(first, cells, strict=True))
    return first if texts_alone else None


def _reader(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _values(line: Line) -> object:
    return value_of(line[0]) if len(line) == 1 else list(map(value_of, line))


def _distinct(names: Line) -> Sequence[str]:
    seen: dict[str, None] = {}
    for at, name in enumerate(names):
        seen[name if name and name not in seen else f"{name or 'feature'}_{at}"] = None
    if len(seen) < len(names):
        raise wrong_shape("columns have the same name")
    return list(seen)
