"""JSON bodies: what most Python model servers speak."""

from __future__ import annotations

from collections import Counter

import orjson

from mlmon_sidecar.decode.json_predictions import Find, predictions
from mlmon_sidecar.decode.json_rows import Row, request_rows
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import Output
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonDecoder:
    """Objects, lists of objects, ``features`` and ``instances`` in; predictions by selector or usual key out."""

    name = "json"
    media_types = frozenset({"application/json", "text/json", "application/x-json", "+json"})

    def parse(self, body: bytes) -> object:
        """Strict JSON. NaN, numbers beyond a double, lone surrogates and deep nesting are ``not_json``."""
        body = body.removeprefix(BYTE_ORDER_MARK)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            # The cause is cut off: it carries the document.
            at_byte = len(error.doc[: error.pos].encode("utf-8", "surrogatepass"))
        raise DecodeError("the body is not JSON", code=DropReason.NOT_JSON, at_byte=at_byte)

    def rows(self, document: object, options: DecodeOptions, skipped: Counter[str]) -> list[Row]:
        return request_rows(document, options, skipped)

    def predictions(self, document: object, find: Find, rows: int, options: DecodeOptions) -> list[Output]:
        return predictions(document, find, rows, options)
