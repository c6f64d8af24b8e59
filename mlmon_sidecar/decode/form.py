"""HTML forms, URL-encoded (https://url.spec.whatwg.org/#application/x-www-form-urlencoded). One form is one row."""

from __future__ import annotations

from urllib.parse import parse_qsl

from mlmon_sidecar.decode.columns import MAX_COLUMNS
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import wrong_shape
from mlmon_sidecar.decode.tensors import malformed
from mlmon_sidecar.decode.text_cells import value_of
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MEDIA_TYPE = "application/x-www-form-urlencoded"


class FormDecoder:
    """Fields are columns; a field given several times is a list."""

    name = "form"

    def claims(self, side: Side, direction: Direction) -> str:
        if direction is Direction.RESPONSE or side.media_type != MEDIA_TYPE:
            return ""
        # Command line clients declare a form whatever they send.
        return "" if side.is_json and isinstance(side.json(), (dict, list)) else f"content type {MEDIA_TYPE}"

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        return row_of([(name, value_of(value)) for name, value in _fields(side)])

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        raise DecodeError("an answer is no form", code=DropReason.UNSUPPORTED_MEDIA_TYPE)


def row_of(fields: list[tuple[str, object]]) -> RequestRows:
    """One row. Raises ``DecodeError`` (``wrong_shape``) where there is no field."""
    if not fields:
        raise wrong_shape("the form has no fields")
    given: dict[str, list[object]] = {}
    for name, value in fields:
        given.setdefault(name, []).append(value)
    record = {name: values if len(values) > 1 else values[0] for name, values in given.items()}
    return RequestRows(1, records=[record], document=record)


def _fields(side: Side) -> list[tuple[str, str]]:
    try:
        return parse_qsl(side.text(), keep_blank_values=True, max_num_fields=MAX_COLUMNS, separator="&")
    except ValueError:
        pass
    raise malformed("the form has too many fields")
