"""JSON bodies that follow no protocol: what most Python model servers speak."""

from __future__ import annotations

from mlmon_sidecar.decode.json_predictions import predictions
from mlmon_sidecar.decode.json_rows import request_rows
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side

MEDIA_TYPES = frozenset({"application/json", "text/json", "application/x-json"})
LOOSE_TYPES = frozenset({"text/plain", "application/x-www-form-urlencoded", "application/octet-stream"})
"""What clients declare when they declare nothing in particular; JSON is read where it really is JSON."""


class JsonDecoder:
    """Objects, lists of objects, ``features`` and ``instances`` in; predictions by the usual keys out."""

    name = "json"

    def claims(self, side: Side, direction: Direction) -> str:
        if not side.media_type:
            return "no content type is declared"
        if side.media_type in MEDIA_TYPES or side.media_type.endswith("+json"):
            return f"content type {side.media_type}"
        if side.media_type in LOOSE_TYPES and side.is_json and isinstance(side.json(), (dict, list)):
            return "the body is a JSON object or list"
        return ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        return request_rows(side.json(), options)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document = side.json()
        return Answers(None if options.selects_outputs else predictions(document, rows, options), document=document)
