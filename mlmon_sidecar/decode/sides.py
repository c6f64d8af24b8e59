"""What decoders read and what they give: one direction of an exchange, the request's rows, the answer's predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from mlmon_sidecar.decode.body import Headers, body_bytes, content_type
from mlmon_sidecar.decode.event_stream import EVENT_STREAM, stream_chunks
from mlmon_sidecar.decode.json_text import looks_like_json, not_json, parse_json
from mlmon_sidecar.decode.text import text_of
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import Exchange

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

    Column = Sequence[object] | FloatVector | IntVector

OPAQUE_TYPES = frozenset({"image", "audio", "video", "model", "font/"})  # first letters: nothing in them is read
_UNREAD: Final = object()
_WHOLE_OR_SIZE = frozenset({"application/octet-stream", "application/pdf", "application/zip"})
_HAS_TENSORS = b"inference-header-content-length"


class Direction(StrEnum):
    REQUEST = "request"
    RESPONSE = "response"


class Side:
    """One direction of one exchange as a decoder sees it. JSON is parsed once, whoever asks."""

    __slots__ = (
        "_document",
        "_fault_at",
        "body",
        "direction",
        "exchange",
        "headers",
        "is_size_only",
        "media_type",
        "parameters",
        "size",
    )

    def __init__(
        self, body: bytes, media_type: str, parameters: Mapping[str, str], headers: Headers, exchange: Exchange,
        direction: Direction,
    ) -> None:  # fmt: skip
        self.body = body  # inflated, complete
        self.media_type = media_type  # lower case, without parameters; "" when undeclared
        self.parameters = parameters  # of the content type, names in lower case: charset, boundary
        self.headers = headers
        self.exchange = exchange  # path, method, times, chunks
        self.direction = direction
        self.size = len(body)  # bytes that went by, as they came over the wire
        self.is_size_only = False  # too large to be kept, and of a type that says enough by its size
        self._document: object = _UNREAD
        self._fault_at: int | None = None  # byte of the body

    @classmethod
    def of(cls, exchange: Exchange, direction: Direction) -> Side:
        """The body of an image, of audio or video is left empty; only its size is known.

        So is that of a form with files, or of bytes of no known type, which is larger than what capture keeps.

        Raises ``DecodeError`` (``body_too_large``, ``unsupported_encoding``).
        """
        if direction is Direction.REQUEST:
            headers, chunks, length = exchange.request_headers, exchange.request_body, exchange.request_bytes
        else:
            headers, chunks, length = exchange.response_headers, exchange.response_body, exchange.response_bytes
        media_type, parameters = content_type(headers)
        opaque = media_type[:5] in OPAQUE_TYPES
        size_only = False
        if media_type == EVENT_STREAM:
            body = b"".join(stream_chunks(chunks, headers))  # as far as it came
        else:
            size_only = length > sum(map(len, chunks)) and _counts_by_size(media_type, headers)
            body = b"" if opaque or size_only else body_bytes(chunks, length, headers)
        side = cls(body, media_type, parameters, headers, exchange, direction)
        side.size, side.is_size_only = length, size_only
        return side

    @property
    def path(self) -> str:
        return self.exchange.path

    @property
    def is_json(self) -> bool:
        """Whether the body parses as JSON. Cheap on what cannot be JSON by its first byte."""
        if self._document is not _UNREAD:
            return True
        if not looks_like_json(self.body):
            return False
        try:
            self.json()
        except DecodeError:
            return False
        return True

    def json(self) -> object:
        """The body as a JSON value, parsed once. Raises ``DecodeError`` (``not_json``)."""
        if self._document is not _UNREAD:
            return self._document
        if self._fault_at is not None:
            raise not_json(self._fault_at)
        try:
            self._document = parse_json(self.body, self.parameters.get("charset", ""))
        except DecodeError as error:
            self._fault_at = error.at_byte
            raise
        return self._document

    def text(self) -> str:
        """The body as text in its declared charset, UTF-8 where none is. Raises ``DecodeError`` (``malformed``)."""
        return text_of(self.body, self.parameters.get("charset", ""))


def _counts_by_size(media_type: str, headers: Headers) -> bool:
    """Whether a body too large to be kept says enough by its size: it is, or carries, a file."""
    if media_type.startswith("multipart/"):
        return True
    return media_type in _WHOLE_OR_SIZE and all(name != _HAS_TENSORS for name, _ in headers)


# The three below are not frozen: Python takes five times as long to make a frozen one, and each request has them all.


@dataclass(slots=True)
class RequestRows:
    """The request's rows: as columns, or row by row (then the core makes columns of many exchanges at once).

    Attributes:
        count: rows of the request, the bad ones included, >= 1: what the answer's predictions are matched with.
        columns: each of length ``count``. Arrays hold no null and no boolean; int64 or float64.
        records: ``count`` objects as JSON has them, nested or flat, instead of ``columns``.
        positional: the names are ``feature_0`` and so on: the core renames them from configuration or baseline.
        width: values of a row where they come without names; 0 where they have their own.
        bad: indices of rows that cannot be read; whatever stands in their place is left out, and so is their answer.
        document: what selectors walk; None: nothing to walk.
        aliases: the caller's own id, one for the request or one a row.
        model, version: what the body or the path names; "" where it names none.
        generation: of a language model: what was asked for.
    """

    count: int
    columns: Mapping[str, Column] = field(default_factory=dict)
    records: Sequence[Mapping[str, object]] = ()
    positional: bool = False
    width: int = 0
    bad: Collection[int] = ()
    document: object = None
    aliases: Sequence[str | None] | str | None = None
    model: str = ""
    version: str = ""
    generation: Any = None


@dataclass(slots=True)
class Outputs:
    """Predictions, column by column: one item a row of the request, or none at all."""

    score: Sequence[float] | FloatVector  # NaN where absent
    predicted: Sequence[str | None]  # class as text
    confidence: Sequence[float] | FloatVector  # in [0, 1]; NaN where absent

    def __len__(self) -> int:
        return len(self.predicted)


@dataclass(slots=True)
class Answers:
    """What a response says.

    Attributes:
        outputs: one item a row; None where nothing is a prediction (a selector may still find one in ``document``).
        columns: features that the answer adds to the rows, each of one item a row.
        document, aliases, model, version: as in ``RequestRows``.
        generation: of a language model: what came out.
    """

    outputs: Outputs | None
    document: object = None
    aliases: Sequence[str | None] | str | None = None
    model: str = ""
    version: str = ""
    generation: Any = None
    columns: Mapping[str, Column] = field(default_factory=dict)
