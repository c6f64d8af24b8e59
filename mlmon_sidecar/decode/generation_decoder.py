"""The frame of every language model's decoder: which side is whose, and one row for a whole exchange."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mlmon_sidecar.decode.event_stream import is_event_stream, stream_events
from mlmon_sidecar.decode.generation import Asked, Told, answer_size
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

DONE = b"[DONE]"
FIRST_BYTES = 2048  # of a stream, that tell its dialect where the path does not


class GenerationDecoder:
    """One dialect. Those that derive from it say how a request asks and how one document or event tells."""

    name: str
    operation: str  # as in ``Generation``
    system: str = "openai"
    paths: tuple[str, ...]  # ends of the paths it is served under
    stream_marks: tuple[bytes, ...]  # any of them among a stream's first bytes is its sign

    def claims(self, side: Side, direction: Direction) -> str:
        if side.path.endswith(self.paths):
            if side.media_type.partition("/")[0] in {"text", "application", ""}:
                return f"path ends in {max((end for end in self.paths if side.path.endswith(end)), key=len)}"
        elif direction is Direction.RESPONSE and is_event_stream(side.exchange):
            head = side.body[:FIRST_BYTES]
            mark = next((mark for mark in self.stream_marks if mark in head), None)
            return "" if mark is None else f"an event stream that begins with {mark.decode()}"
        elif side.is_json and isinstance(document := side.json(), dict):
            return self.shape(document, direction)
        return ""

    def shape(self, document: Mapping[str, Any], direction: Direction) -> str:
        """Why a JSON object is in this dialect; "" where it is not."""
        raise NotImplementedError

    def asked(self, document: Mapping[str, Any], *, keep_text: bool) -> Asked:
        raise NotImplementedError

    def tell(self, told: Told, document: Mapping[str, Any], event: str, chunk: int) -> None:
        """One whole answer (``chunk`` 0, ``event`` ""), or one event of a stream."""
        raise NotImplementedError

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = side.json()
        if not isinstance(document, dict):
            raise DecodeError("the request is no JSON object", code=DropReason.WRONG_SHAPE)
        asked = self.asked(document, keep_text=options.keeps_text)
        return RequestRows(1, records=(asked.features,), document=document, model=asked.model, generation=asked)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        told, document = self.hear(side, options)
        size = answer_size(side.exchange, told)
        outputs = Outputs([size] * rows, [told.reason] * rows, [told.confidence] * rows)
        return Answers(outputs, document=document, aliases=told.id or None, version=told.model, generation=told)

    def hear(self, side: Side, options: DecodeOptions) -> tuple[Told, object]:
        """Everything the answer tells, and its document where it is one."""
        if is_event_stream(side.exchange):
            return self._listen(side, options), None
        told = Told(Asked(self.operation, self.system), streamed=False, keep_text=options.keeps_text)
        document = side.json()
        for part in document if isinstance(document, list) else [document]:
            if isinstance(part, dict):
                self.tell(told, part, "", 0)
        if not told.said_anything:
            raise DecodeError("the answer holds no completion", code=DropReason.WRONG_SHAPE)
        return told, document

    def _listen(self, side: Side, options: DecodeOptions) -> Told:
        """An event that is no JSON object says nothing: a stream may end in the middle of one.

        Raises ``DecodeError`` (``wrong_shape``) where all events are of some other dialect.
        """
        foreign = False
        told = Told(Asked(self.operation, self.system), streamed=True, keep_text=options.keeps_text)
        for event in stream_events(side.exchange):
            if event.data == DONE:
                told.done = True
                continue
            try:
                document = orjson.loads(event.data)
            except orjson.JSONDecodeError:
                continue
            if isinstance(document, dict):
                self.tell(told, document, event.name, event.chunk)
                foreign = True
        if foreign and not (told.said_anything or told.id):
            raise DecodeError("the stream is no completion", code=DropReason.WRONG_SHAPE)
        return told
