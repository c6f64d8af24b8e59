"""Server-sent events, chunk by chunk, in bounded memory and linear time.

The line and field rules are those of the HTML standard, section 9.2.6 "Interpreting an event stream"
(https://html.spec.whatwg.org/multipage/server-sent-events.html), on bytes: no multi-byte character is ever cut, however
the stream was. Two things are left to the reader: bytes that are not UTF-8, and an event the stream broke off in
(``finish``).

>>> parser = SseParser()
>>> [event.data for event in parser.feed(b"data: a\\n")], [event.data for event in parser.feed(b"data: b\\n\\n")]
([], [b'a\\nb'])
"""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 1 << 20  # of one event, and of one line; what is larger is passed over and counted
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DEFAULT_NAME = "message"
_LINE_ENDS = (b"\n", b"\r")


class ServerSentEvent(NamedTuple):
    """One event. ``chunk`` is the index, from 0, of the chunk whose bytes completed it."""

    name: str  # of its ``event:`` field
    data: bytes  # its ``data:`` fields, joined by line feeds
    id: str  # the last ``id:`` of the stream so far
    chunk: int


class SseParser:
    """Feed it the chunks of one stream in order. Every split of the same bytes gives the same events."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._chunk = -1
        self._line: list[bytes] = []  # pieces of the line that has no end yet
        self._line_bytes = 0
        self._first_line = True
        self._after_cr = False
        self._id = ""
        self._begin_event()
        self.oversized = 0  # events passed over
        self.retry_ms: int | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events this chunk completes."""
        self._chunk += 1
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        lines = chunk.splitlines()  # of bytes: at CR, LF and CRLF alone
        rest = b"" if chunk.endswith(_LINE_ENDS) else lines.pop()
        self._after_cr = chunk.endswith(b"\r")
        events: list[ServerSentEvent] = []
        for line in lines:
            if not line and self._idle:
                self._first_line = False
                continue
            self._extend_line(line)
            event = self._end_line()
            if event is not None:
                events.append(event)
        self._extend_line(rest)
        return events

    def finish(self) -> ServerSentEvent | None:
        """What a stream that broke off had of its last event; the standard discards it."""
        if self._line:
            self._end_line()
        return self._dispatch()

    def _extend_line(self, piece: bytes) -> None:
        if not piece:
            return
        self._idle = False
        self._line_bytes += len(piece)
        if self._line_bytes <= self._max:
            self._line.append(piece)
        else:
            self._line.clear()

    def _end_line(self) -> ServerSentEvent | None:
        line, size = b"".join(self._line), self._line_bytes
        self._line.clear()
        self._line_bytes = 0
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(BYTE_ORDER_MARK)
        if size > self._max:
            self._overflow()
        elif not line:
            return self._dispatch()
        elif not line.startswith(b":"):
            name, _, value = line.partition(b":")
            self._field(name, value.removeprefix(b" "))
        return None

    def _field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data_bytes += len(value) + 1
            if self._data_bytes > self._max:
                self._overflow()
            else:
                self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < 10:
            self.retry_ms = int(value)

    def _overflow(self) -> None:
        self._too_large = True
        self._data.clear()

    def _dispatch(self) -> ServerSentEvent | None:
        """At a blank line. An event without data is none."""
        data, name, too_large = self._data, self._name, self._too_large
        self._begin_event()
        if too_large:
            self.oversized += 1
            return None
        return ServerSentEvent(name or DEFAULT_NAME, b"\n".join(data), self._id, self._chunk) if data else None

    def _begin_event(self) -> None:
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._name = ""
        self._too_large = False
        self._idle = True  # a blank line now would mean nothing
