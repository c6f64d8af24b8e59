"""A passive tee around one request. The application and the server see each other as if nothing stood between them.

The same scope object, the same task, the same messages in the same order, each chunk passed on at once. One thing is
added: the response header with the prediction's id, on a copy of the ``http.response.start`` message. Without a header
name even that message is the application's own object.

Already captured? The scope is not ours to mark, so the open tap is in a context variable, and an inner tap compares:
the same scope object, or a copy of it, which shares the ``headers`` object. A request that a handler makes in-process
to another monitored application runs in the same context, but brings headers of its own, and so it is captured.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from uuid_utils import uuid7

from mlmon_sidecar.capture import compiled
from mlmon_sidecar.capture.body_tap import BYTES_A_CHUNK, MAX_CHUNKS, TIMED_CHUNKS, BodyTap, Chunk, StreamTap
from mlmon_sidecar.capture.handoff import (
    CHUNK_BYTES,
    EXCHANGE_BYTES,
    HEADER_BYTES,
    Handoff,
    annotation_size,
    chunks_size,
)
from mlmon_sidecar.capture.wiring import IGNORE_HEADER, ASGIApp, Capture, Message, Receive, Scope, Send
from mlmon_sidecar.records import Annotation, End

MAX_ANNOTATIONS = 4096  # per exchange; what a handler says beyond is counted as a fault
CURRENT: ContextVar[_Exchange | None] = ContextVar("mlmon_exchange", default=None)

Call = TypeVar("Call", bound=Callable[..., Any])
Headers = tuple[tuple[bytes, bytes], ...]
Span = tuple[object, int, int, bool]
Answer = tuple[tuple[bytes, ...], int, tuple[int, ...], int, tuple[bytes, ...]]
NO_SPAN: Span = (None, 0, 0, False)
SEND_IS_SILENT = frozenset({"2.0", "2.1", "2.2", "2.3"})  # from 2.4 on send raises OSError when the client is gone
SEQUENCES = (list, tuple)
COMPLETE, DISCONNECT, ERROR = End.COMPLETE, End.DISCONNECT, End.ERROR  # a look-up by name is slow in Python 3.11
ZERO_COPY, PATH = "http.response.zerocopysend", "http.response.pathsend"
FILES = (ZERO_COPY, PATH)
NO_ANSWER: Answer = ((), 0, (), 0, ())
NO_STATE: tuple[str, ...] = ()
NO_VERSION: dict[str, str] = {}
EVENT_STREAMS = (b"text/event-stream", b"application/x-ndjson")


def _as_coroutine_function(function: Call) -> Call:
    """Mark a plain function whose result is awaited: asgiref asks, and warns in each request where it is not.

    https://docs.python.org/3/library/inspect.html#inspect.markcoroutinefunction (from Python 3.12 on)
    """
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


class TooManyAnnotations(Exception):
    """Counted by type, never raised into a handler."""


class _Exchange:
    """One exchange: ``await ExchangeTap(capture, model, scope).run(app, receive, send)``.

    Exactly one flat tuple is offered to the hand-off: with the last body message, so that background work after it
    counts neither as latency nor as failure, or else when the call ends. An error in here abandons the observation, is
    counted, and leaves the exchange itself alone.
    """

    __slots__ = NO_STATE  # it lies in the class below, or in the compiled one

    _annotations: list[Annotation]
    _capture: Capture
    _disconnected: bool
    _first_byte_ns: int
    _flowing: StreamTap | None  # ``_stream``, while most messages need no look
    _open: bool
    _receive: Receive
    _request: bytes  # a body of one piece
    _request_headers: Headers
    _request_tap: BodyTap | None
    _response: bytes
    _response_headers: Headers
    _scope: Scope | None  # None when done: a task the handler left behind may hold this object
    _send: Send
    _send_raises: bool
    _size: int
    _span: Span
    _started_ns: int
    _status: int
    _stream: StreamTap | None
    model: str
    prediction_id: str

    @_as_coroutine_function
    def send(self, message: Message) -> Any:
        """The application's ``send``. A plain function: one frame less on every chunk of a stream."""
        stream = self._flowing
        if stream is not None:
            try:
                # Most messages of a stream, and no other kind, are like this: what ``stream.add`` does, without calls.
                body = message["body"]
                usual = message["more_body"] and body and type(body) is bytes and stream.room >= (size := len(body))
                if usual:
                    stream.chunks.append(body)
                    stream.room -= size
            except KeyError:
                usual = False  # another kind of message
            except Exception as error:  # Ours to count, never the application's to see.
                self._abandon("send", error)
                usual = False
            if usual:
                send = self._send  # called by way of a local: a third faster than as an attribute
                return send(message)
        if self._open:
            message = self._seen(message)
            if self._send_raises and self._open:
                return self._send_watching(message)
        send = self._send
        return send(message)

    async def receive(self) -> Message:
        """The application's ``receive``: asks the server only when it is asked itself."""
        receive = self._receive
        message = await receive()
        if self._open:
            self._received(message)
        return message

    def annotate(self, annotation: Annotation) -> None:
        """Add what the handler says. Without effect once the last body message went out. From any thread."""
        if self._open:
            if len(self._annotations) >= MAX_ANNOTATIONS:
                raise TooManyAnnotations
            self._annotations.append(annotation)

    @property
    def capture(self) -> Capture:
        return self._capture

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> Token[_Exchange | None] | None:
        """Start watching. None: an outer tap does already, or we cannot."""
        capture = self._capture
        try:
            outer = CURRENT.get()
            if outer is not None and outer._covers(scope):
                return None
            self._started_ns = capture.now()
            self._first_byte_ns = self._status = 0
            self._receive, self._send = receive, send
            self._send_raises = scope.get("asgi", NO_VERSION).get("spec_version", "2.0") not in SEND_IS_SILENT
            self._disconnected = False
            self._annotations = []
            self._request = self._response = b""
            self._size = EXCHANGE_BYTES
            self._request_headers = self._wanted(scope.get("headers", ()), capture.options.headers)
            self._response_headers = ()
            self.prediction_id = str(uuid7())
            self._span = NO_SPAN if capture.span_hook is None else self._current_span()
            token = CURRENT.set(self)
            self._open = True
            return token
        except Exception as error:  # Ours to count, never the application's to see.
            self._abandon("begin", error)
            return None

    def _seen(self, message: Message) -> Message:
        """Any message of the application's: what the server gets."""
        try:
            kind = message["type"]
            if kind == "http.response.body":
                self._answered(message)
            elif kind == "http.response.start":
                return self._response_started(message)
            elif kind in FILES:
                self._file_sent(message, kind)
        except Exception as error:  # Ours to count, never the application's to see.
            self._abandon("send", error)
        return message

    def _received(self, message: Message) -> None:
        try:
            if message["type"] == "http.request":
                body = message.get("body")
                if body:
                    self._asked(body)
            elif message["type"] == "http.disconnect":
                self._disconnected = True
        except Exception as error:  # Ours to count, never the application's to see.
            self._abandon("receive", error)

    def _covers(self, scope: Scope) -> bool:
        mine = self._scope
        if mine is None or mine is scope:
            return mine is scope
        headers = mine.get("headers")
        return bool(headers) and headers is scope.get("headers")  # an empty tuple is everybody's

    def _asked(self, body: Chunk) -> None:
        """A piece of the request. The usual one, alone and small enough, is all there is to keep."""
        tap = self._request_tap
        if tap is None:
            cap = self._capture.options.max_body_bytes
            if not self._request and type(body) is bytes and len(body) <= cap:
                self._request = body
                return
            tap = self._request_tap = BodyTap(cap)
            if self._request:
                tap.add(self._request)
        tap.add(body)

    def _answered(self, message: Message) -> None:
        """A body message of the answer: mostly the first, and the last too."""
        body, more, stream = message.get("body"), message.get("more_body"), self._stream
        if stream is not None:
            if body:
                stream.add(body)
            if not more:
                self._complete(self._capture.now())
            return
        self._first_byte_ns = now = self._capture.now()
        if more or (body and (type(body) is not bytes or len(body) > self._capture.options.max_body_bytes)):
            stream = self._begin_stream()
            if body:
                stream.add(body)
        elif body:
            self._response = body
        if not more:
            self._complete(now)

    def _begin_stream(self) -> StreamTap:
        options = self._capture.options
        media_type = next((value for name, value in self._response_headers if name == b"content-type"), b"")
        events = media_type.lower().startswith(EVENT_STREAMS)
        cap = options.max_stream_bytes if events else options.max_body_bytes
        self._stream = stream = StreamTap(cap, self._capture.now, keeps_tail=events)
        if not self._send_raises:
            self._flowing = stream
        return stream

    def _response_started(self, message: Message) -> Message:
        status = message["status"]
        if status < 200:
            return message  # informational; the answer is still to come
        self._status = status
        capture = self._capture
        if capture.span_hook is not None:
            if self._span is NO_SPAN:
                self._span = self._span_inside()
            if self._span is not NO_SPAN:
                self._join_span()
        options = capture.options
        headers = message.get("headers") or ()
        self._response_headers = self._wanted(headers, options.headers_in_any_case)
        name = options.prediction_id_header
        if name is None:
            return message
        pair = (name, self.prediction_id.encode("ascii"))
        # Any iterable is allowed, and an iterator can be read only once: by the server, as without us.
        return {**message, "headers": [*headers, pair] if type(headers) in SEQUENCES else chain(headers, [pair])}

    def take_span(self, span: object, trace_id: int, span_id: int, sampled: bool) -> None:
        """A span for this request began further in. Without effect where one was there at the start."""
        if self._open and self._span is NO_SPAN:
            self._span = (span, trace_id, span_id, sampled)

    def _join_span(self) -> None:
        """Before the answer begins: a middleware that hands streams on ends its span when the first message is out."""
        span_hook = self._capture.span_hook
        assert span_hook is not None, "the span came from it"
        try:
            span_hook.join(self._span[0], self.prediction_id, self.model)
        except Exception as error:  # A tracing fault costs the span's attributes, not the exchange.
            self._capture.faults.count("span", error)

    def _rest(self) -> int:
        """Bytes still missing from the length the application announced; 0 where it announced none."""
        for name, value in self._response_headers:
            if name == b"content-length" and value.isdigit():
                return max(0, int(value) - (0 if self._stream is None else self._stream.size))
        return 0

    def _file_sent(self, message: Message, kind: str) -> None:
        """A file that the server sends by itself."""
        stream = self._stream or self._begin_stream()
        stream.pass_by((message.get("count") if kind == ZERO_COPY else None) or self._rest())
        now = self._capture.now()
        self._first_byte_ns = self._first_byte_ns or now
        if kind == PATH or not message.get("more_body"):
            self._complete(now)

    def _complete(self, now: int) -> None:
        self._offer(now, DISCONNECT if self._disconnected else COMPLETE, "")

    def _end_with(self, error: BaseException | None) -> None:
        """The call is over. Without effect where the last body message was seen."""
        if not self._open:
            return
        try:
            # Nobody waits for the answer of a call that was cancelled, by asyncio, by trio or by the process's end.
            gone = self._disconnected or not (error is None or isinstance(error, Exception))
            name = "" if error is None else type(error).__name__
            self._offer(self._capture.now(), DISCONNECT if gone else ERROR, name)
        except Exception as fault:  # Ours to count, never the application's to see.
            self._abandon("end", fault)

    def _offer(self, now: int, end: End, error_type: str) -> None:
        """Hand over the one flat tuple, in the order of ``Exchange``'s fields."""
        scope = self._scope
        assert scope is not None, "an open tap has its scope"
        _, trace_id, span_id, sampled = self._span
        self._open = False
        try:
            path = scope["path"]
            request, request_bytes = self._request_kept()
            response, response_bytes, chunk_ns, chunks, tail = self._response_kept()
            annotations = tuple(self._annotations)
            self._capture.handoff.put(
                (
                    self.prediction_id,
                    self.model,
                    scope["method"],
                    path,
                    self._started_ns,
                    self._first_byte_ns,
                    now,
                    self._status,
                    end,
                    error_type,
                    self._request_headers,
                    request,
                    request_bytes,
                    self._response_headers,
                    response,
                    response_bytes,
                    trace_id,
                    span_id,
                    sampled,
                    annotations,
                    chunk_ns,
                    chunks,
                    tail,
                ),
                self._size + len(path) + (sum(map(annotation_size, annotations)) if annotations else 0),
            )
            self._release()
        except Exception as error:  # Ours to count, never the application's to see.
            self._abandon("handoff", error)

    def _request_kept(self) -> tuple[tuple[bytes, ...], int]:
        """(chunks, length), and their size is added."""
        tap, body = self._request_tap, self._request
        if tap is not None:
            kept = tap.kept
            self._size += CHUNK_BYTES * len(kept) + tap.kept_bytes
            return kept, tap.size
        if not body:
            return (), 0
        self._size += CHUNK_BYTES + len(body)
        return (body,), len(body)

    def _response_kept(self) -> Answer:
        """(chunks, length, times of the first chunks, number of chunks, tail), and their size is added."""
        tap, body = self._stream, self._response
        if tap is not None:
            kept, tail, count = tap.kept, tap.tail, tap.count
            self._size += CHUNK_BYTES * len(kept) + tap.kept_bytes + (chunks_size(tail) if tail else 0)
            return kept, tap.size, tuple(tap.times) if count > 1 else (), count, tail
        if not body:
            return NO_ANSWER
        self._size += CHUNK_BYTES + len(body)
        return (body,), len(body), (), 1, ()

    def _release(self) -> None:
        """Let go of bodies at once: background work may keep this object for long."""
        self._request = self._response = b""
        self._request_tap = self._stream = self._flowing = None
        self._annotations = []
        self._span = NO_SPAN

    def _abandon(self, component: str, error: Exception) -> None:
        self._open = False
        faults = self._capture.faults
        faults.count(component, error)
        faults.lose()
        self._release()

    def _current_span(self) -> Span:
        try:
            assert self._capture.span_hook is not None, "asked only where there is one"
            return self._capture.span_hook.current() or NO_SPAN
        except Exception as error:  # A tracing fault costs the trace's id, not the exchange.
            self._capture.faults.count("span", error)
            return NO_SPAN

    def _span_inside(self) -> Span:
        try:
            assert self._capture.span_hook is not None, "asked only where there is one"
            return self._capture.span_hook.inside() or NO_SPAN
        except Exception as error:  # A tracing fault costs the trace's id, not the exchange.
            self._capture.faults.count("span", error)
            return NO_SPAN

    async def _send_watching(self, message: Message) -> Any:
        try:
            return await self._send(message)
        except OSError:
            self._disconnected = True
            raise

    def _wanted(self, headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
        """The headers asked for. An iterator is left alone: it can be read once, and that is the receiver's."""
        if type(headers) not in SEQUENCES:
            return ()
        kept = []
        for pair in headers:  # by the specification lower case; in answers not always
            name, value = pair
            if name in names:
                kept.append(pair if name.islower() and type(pair) is tuple else (name.lower(), value))
                self._size += HEADER_BYTES + len(value)
        return tuple(kept)


class PureExchangeTap(_Exchange):
    """All of it in Python."""

    __slots__ = (
        "_annotations",
        "_capture",
        "_disconnected",
        "_first_byte_ns",
        "_flowing",
        "_open",
        "_receive",
        "_request",
        "_request_headers",
        "_request_tap",
        "_response",
        "_response_headers",
        "_scope",
        "_send",
        "_send_raises",
        "_size",
        "_span",
        "_started_ns",
        "_status",
        "_stream",
        "model",
        "prediction_id",
    )

    def __init__(self, capture: Capture, model: str, scope: Scope) -> None:
        self._capture = capture
        self._scope = scope
        self._open = False
        self._request_tap = self._stream = self._flowing = None
        self.model = model

    async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        """Call ``app`` with this request. Whatever it raises passes through as it is."""
        scope = self._scope
        assert scope is not None, "a tap serves one request"
        token = self._begin(scope, receive, send)
        if token is None:
            await app(scope, receive, send)
            return
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            self._end_with(error)
            raise
        else:
            self._end_with(None)
        finally:
            self._scope = None
            try:
                CURRENT.reset(token)
            except Exception as error:  # ValueError: an application that moves its coroutine to another context.
                self._capture.faults.count("context", error)


if TYPE_CHECKING or compiled.tap is None:
    ExchangeTap = PureExchangeTap
    opened: Callable[[object, Scope, Receive, Send], tuple[_Exchange, Receive, Send] | None] | None = None
    ended = _Exchange._end_with
    Active = set[_Exchange]
else:
    Active = compiled.tap.Active
    opened, ended = compiled.tap.opened, compiled.tap.ended

    class ExchangeTap(compiled.tap.Tap, _Exchange):  # type: ignore[no-redef]
        """The usual path in C, the rest as above, on one state.

        What calls the application and the server is Python all the same: from C that costs twice as much.
        """

        __slots__ = ()

        async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
            scope = self._scope
            if not self.begin(receive, send):
                await app(scope, receive, send)
                return
            try:
                await app(scope, self.receive, self.send)
            except BaseException as error:
                ended(self, error)
                raise
            else:
                ended(self, None)

    compiled.tap.setup(
        ExchangeTap,
        StreamTap,
        CURRENT,
        Handoff,
        deque,
        NO_SPAN,
        COMPLETE,
        DISCONNECT,
        SEND_IS_SILENT,
        IGNORE_HEADER,
        EVENT_STREAMS,
        *next(iter(vars(_Exchange.send).items())),  # what marks it as a coroutine function: each version has its own
        EXCHANGE_BYTES,
        HEADER_BYTES,
        CHUNK_BYTES,
        TIMED_CHUNKS,
        MAX_CHUNKS,
        BYTES_A_CHUNK,
    )
