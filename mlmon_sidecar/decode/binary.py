"""Images, audio, video, files and everything that no other decoder knows: size and media type, never the content."""

from __future__ import annotations

from math import nan

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side

READ_BY_OTHERS = frozenset({"application/json", "multipart/form-data"})
UNDECLARED = "application/octet-stream"


class BinaryDecoder:
    """One row of ``body.bytes`` and ``body.media_type``; as an answer, rows without a prediction."""

    name = "binary"

    def claims(self, side: Side, direction: Direction) -> str:
        kind, _, rest = side.media_type.partition("/")
        # An answer in text, HTML above all, is more likely an error page than a prediction.
        if not rest or kind == "text" or side.media_type in READ_BY_OTHERS or rest.endswith("+json"):
            return ""
        return f"no decoder reads the content of {side.media_type}"

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        return RequestRows(1, {"body.bytes": [side.size], "body.media_type": [side.media_type or UNDECLARED]})

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        return Answers(None if options.selects_outputs else Outputs([nan] * rows, [None] * rows, [nan] * rows))
