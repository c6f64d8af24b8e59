"""JSON Lines: one JSON value a line (https://jsonlines.org)."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from mlmon_sidecar.decode.json_text import parse_json
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import from_items
from mlmon_sidecar.decode.tabular_answers import answers_of
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MEDIA_TYPES = frozenset({
    "application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-ndjson",
    "application/ndjson", "application/json-lines", "text/jsonl",
})  # fmt: skip
WRAPPERS = (
    "features",
    "data",
    "values",
    "instance",
)  # {"features": [1, 2]}, {"data": {"features": {"values": [1, 2]}}}
MAX_BROKEN = 50_000  # lines that are no JSON; a body with more is refused, as each costs as much as thirty good ones
MAX_PATIENT = 20_000  # lines that are parsed a second time, as Python's NaN needs it ...
MAX_IN_VAIN = 1_000  # ... as long as not so many of them are no JSON for all that
BROKEN = None  # stands for a line that is no JSON: of no kind that rows have


class JsonLinesDecoder:
    """One row a line; lines that are no JSON are bad rows."""

    name = "json_lines"

    def claims(self, side: Side, direction: Direction) -> str:
        return f"content type {side.media_type}" if side.media_type in MEDIA_TYPES else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        return from_items([unwrapped(value) for value in values_of(side, options.max_rows)], options)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        """One line a row, or one line with all of them."""
        values: object = values_of(side, max(rows, options.max_rows))
        if isinstance(values, list) and len(values) == 1 and rows > 1:
            values = values[0]
            if isinstance(values, dict) and isinstance(values.get("predictions"), list):
                values = values["predictions"]
        elif isinstance(values, list) and len(values) != rows:
            raise DecodeError("rows and lines differ in number", code=DropReason.ROW_MISMATCH)
        return answers_of(values, rows, options, values)


def values_of(side: Side, most: int) -> list[object]:
    """The lines' values, ``BROKEN`` where a line has none.

    Raises:
        DecodeError: ``body_too_large`` for more than ``most`` lines, ``not_json`` where no line is JSON or too
            many are none.
    """
    text = side.text().encode()
    lines = [line for line in text.split(b"\n", most + 1) if line.strip()]
    if len(lines) > most:
        raise DecodeError("too many lines in one body", code=DropReason.BODY_TOO_LARGE)
    values = _values(lines)
    if all(value is BROKEN for value in values):
        raise DecodeError("no line is JSON", code=DropReason.NOT_JSON)
    return values


def unwrapped(value: object) -> object:
    """The features of a line, where they are its only member."""
    while isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        if name not in WRAPPERS or not isinstance(inner, (list, dict)):
            break
        value = inner
    return value


def _values(lines: Sequence[bytes]) -> list[object]:
    """Raises ``DecodeError`` (``not_json``) for more than ``MAX_BROKEN`` broken ones."""
    values: list[object] = []
    patient, in_vain, broken = MAX_PATIENT, MAX_IN_VAIN, MAX_BROKEN
    for line in lines:
        try:
            values.append(orjson.loads(line))
            continue
        except orjson.JSONDecodeError:
            pass
        value: object = BROKEN
        if patient and in_vain:
            patient -= 1
            try:
                value = parse_json(line)
            except DecodeError:
                in_vain -= 1
        if value is BROKEN:
            broken -= 1
            if not broken:
                raise DecodeError("too many lines are no JSON", code=DropReason.NOT_JSON)
        values.append(value)
    return values
