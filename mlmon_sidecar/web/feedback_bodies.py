"""Bodies of feedback to items, as their bytes come in: one JSON document, JSON Lines, CSV.

Every reader takes bytes by ``feed`` and gives ``(item, what tells its content from another)``. A bad line is an
``InvalidItem``.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Iterator
from typing import Any, Protocol

import orjson

from mlmon_sidecar.web.answers import Refusal
from mlmon_sidecar.web.feedback_items import ITEM_KEYS, InvalidItem, item_of_cells

MAX_ITEMS = 10_000  # of a JSON list; of the others, answered one by one
MAX_BODY_BYTES = 8 * 1024 * 1024  # of a body that has to be there as a whole
MAX_LINE_BYTES = 64 * 1024
NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})
CSV_TYPE = "text/csv"

Item = tuple[object, bytes]


class BodyReader(Protocol):
    whole: bool  # the body is needed as a whole before anything can be taken

    def feed(self, data: bytes) -> Iterator[Item]: ...

    def end(self) -> Iterator[Item]:
        """What is left. Raises ``Refusal`` for a body without items, or that cannot be used as a whole."""


def reader_of(media_type: str) -> BodyReader | None:
    """None for a type that is not understood."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind in NDJSON_TYPES:
        return JsonLines()
    if kind == CSV_TYPE:
        return CsvRows()
    if kind == "application/json" or re.fullmatch(r"application/[\w.-]+\+json", kind):
        return JsonDocument()
    return None


class JsonDocument:
    """One item, or a list of them."""

    whole = True

    def __init__(self) -> None:
        self._body = b""

    def feed(self, data: bytes) -> Iterator[Item]:
        self._body += data
        return iter(())

    def end(self) -> Iterator[Item]:
        items = _items(self._body)
        if len(items) > MAX_ITEMS:
            hint = f"Send at most {MAX_ITEMS} items in a list, or any number one a line as application/x-ndjson."
            raise Refusal(413, "too_many_items", "Too many items", hint)
        whole = hashlib.sha256(self._body).digest()
        for item in items:
            yield item, whole


class JsonLines:
    """One item a line. A line that is not JSON spoils itself alone."""

    whole = False

    def __init__(self) -> None:
        self._lines = _Lines()
        self._empty = True

    def feed(self, data: bytes) -> Iterator[Item]:
        return self._read(self._lines.feed(data))

    def end(self) -> Iterator[Item]:
        yield from self._read(self._lines.end())
        if self._empty:
            raise Refusal(400, "empty_body", "The body holds no item", "Send one JSON object a line.")

    def _read(self, lines: Iterator[bytes | None]) -> Iterator[Item]:
        for line in lines:
            if line is None:
                self._empty = False
                yield _TOO_LONG, b""
            elif line.strip():
                self._empty = False
                try:
                    yield orjson.loads(line), line
                except orjson.JSONDecodeError:
                    yield InvalidItem("the line is not JSON"), line


class CsvRows:
    """The first line names the columns (id, label, ...); an empty cell is one that is not there. UTF-8, RFC 4180."""

    whole = False

    def __init__(self) -> None:
        self._lines = _Lines()
        self._names: list[str] = []
        self._open = b""  # a row whose quotes are not closed yet

    def feed(self, data: bytes) -> Iterator[Item]:
        return self._read(self._lines.feed(data))

    def end(self) -> Iterator[Item]:
        yield from self._read(self._lines.end())
        if self._open:
            yield InvalidItem("a quote in the row is not closed"), self._open
        if not self._names:
            raise Refusal(400, "empty_body", "The body holds no columns", "The first line names them: id,label,...")

    def _read(self, lines: Iterator[bytes | None]) -> Iterator[Item]:
        for line in lines:
            if line is None or len(self._open) + len(line) > MAX_LINE_BYTES:
                self._open = b""
                yield _TOO_LONG, b""
                continue
            row = self._open + line
            if row.count(b'"') % 2:
                self._open = row + b"\n"
                continue
            self._open = b""
            if not row.strip():
                continue
            if not self._names:
                self._names = _column_names(row)
            else:
                yield self._item(row), row

    def _item(self, row: bytes) -> object:
        cells = _cells(row)
        if cells is None or len(cells) != len(self._names):
            return InvalidItem("the row does not have one field for each column")
        return item_of_cells(dict(zip(self._names, cells, strict=True)))


class _Lines:
    """Bytes to lines without their ends; None for one that is too long, whose rest is skipped."""

    def __init__(self) -> None:
        self._left = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        *lines, self._left = (self._left + data).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif len(line) > MAX_LINE_BYTES:
                yield None
            else:
                yield line.removesuffix(b"\r")
        if len(self._left) > MAX_LINE_BYTES:
            self._left = b""
            if not self._skipping:
                self._skipping = True
                yield None

    def end(self) -> Iterator[bytes | None]:
        if self._left and not self._skipping:
            yield self._left.removesuffix(b"\r")
        self._left = b""


_TOO_LONG = InvalidItem(f"the line has more than {MAX_LINE_BYTES} bytes")


def _cells(row: bytes) -> list[str] | None:
    try:
        rows = list(csv.reader(row.decode().splitlines(keepends=True), strict=True))
    except (UnicodeDecodeError, csv.Error):
        return None
    return rows[0] if len(rows) == 1 else None


def _column_names(row: bytes) -> list[str]:
    names = [name.strip() for name in _cells(row.removeprefix(b"\xef\xbb\xbf")) or ()]
    if not {"id", "label"} <= set(names) or not set(names) <= ITEM_KEYS or len(set(names)) != len(names):
        raise Refusal(
            400,
            "wrong_columns",
            "The first line does not name the columns",
            "Name id and label, and if needed observed_at, weight, source and model, each once.",
        )
    return names


def _items(body: bytes) -> list[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        hint = "Send one item, a list of items, or one item a line as application/x-ndjson."
        raise Refusal(400, "invalid_json", "The body is not JSON", hint) from None
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        return [document]
    raise Refusal(400, "wrong_shape", "The body is neither an item nor a list of items", "An item is a JSON object.")
