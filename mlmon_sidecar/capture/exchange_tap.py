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
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from itertools import chain
from typing import Any, TypeVar

from uuid_utils import uuid7

from mlmon_sidecar.capture.body_tap import BodyTap
from mlmon_sidecar.capture.wiring import ASGIApp, Capture, Message, Receive, Scope, Send
from mlmon_sidecar.records import Annotation, End

MAX_ANNOTATIONS = 4096  # per exchange; what a handler says beyond is counted as a fault
CURRENT: ContextVar[ExchangeTap | None] = ContextVar("mlmon_exchange", default=None)

Call = TypeVar("Call", bound=Callable[..., Any])
Headers = tuple[tuple[bytes, bytes], ...]
Span = tuple[object, int, int, bool]
RELEASED = BodyTap(0)  # shared, and never written: a closed tap adds nothing
NO_SPAN: Span = (None, 0, 0, False)
SEND_IS_SILENT = frozenset({"2.0", "2.1", "2.2", "2.3"})  # from 2.4 on send raises OSError when the client is gone


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


class ExchangeTap:
    """State of one exchange: ``await ExchangeTap(capture, model, scope).run(app, receive, send)``.

    Exactly one flat tuple is offered to the hand-off: with the last body message, so that background work after it
    counts neither as latency nor as failure, or else when the call ends. An error in here abandons the observation, is
    counted, and leaves the exchange itself alone.
    """

    __slots__ = (
        "_annotations",
        "_capture",
        "_disconnected",
        "_first_byte_ns",
        "_open",
        "_receive",
        "_request",
        "_request_headers",
        "_response",
        "_response_headers",
        "_scope",
        "_send",
        "_send_raises",
        "_span",
        "_started_ns",
        "_status",
        "model",
        "prediction_id",
    )

    def __init__(self, capture: Capture, model: str, scope: Scope) -> None:
        self._capture = capture
        self._scope: Scope | None = scope  # None when done: a task the handler left behind may hold this object
        self._open = False
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

    @_as_coroutine_function
    def send(self, message: Message) -> Any:
        """The application's ``send``. A plain function: one frame less on every chunk of a stream."""
        if self._open:
            try:
                message = self._sent(message)
            except Exception as error:  # Ours to count, never the application's to see.
                self._abandon("send", error)
            if self._send_raises and self._open:
                return self._send_watching(message)
        return self._send(message)

    async def receive(self) -> Message:
        """The application's ``receive``: asks the server only when it is asked itself."""
        message = await self._receive()
        if self._open:
            try:
                self._received(message)
            except Exception as error:  # Ours to count, never the application's to see.
                self._abandon("receive", error)
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

    def _begin(self, scope: Scope, receive: Receive, send: Send) -> Token[ExchangeTap | None] | None:
        """Start watching. None: an outer tap does already, or we cannot."""
        capture = self._capture
        try:
            outer = CURRENT.get()
            if outer is not None and outer._covers(scope):
                return None
            self._started_ns = capture.now()
            self._first_byte_ns = self._status = 0
            self._receive, self._send = receive, send
            asgi = scope.get("asgi")
            self._send_raises = asgi is not None and asgi.get("spec_version", "2.0") not in SEND_IS_SILENT
            self._disconnected = False
            self._annotations: list[Annotation] = []
            cap = capture.options.max_body_bytes
            self._request, self._response = BodyTap(cap), BodyTap(cap)
            self._request_headers = _wanted(scope.get("headers", ()), capture.options.headers)  # ASGI: lower case
            self._response_headers: Headers = ()
            self.prediction_id = str(uuid7())
            self._span = NO_SPAN if capture.span_hook is None else self._current_span()
            token = CURRENT.set(self)
            self._open = True
            return token
        except Exception as error:  # Ours to count, never the application's to see.
            self._abandon("begin", error)
            return None

    def _covers(self, scope: Scope) -> bool:
        mine = self._scope
        if mine is None or mine is scope:
            return mine is scope
        headers = mine.get("headers")
        return bool(headers) and headers is scope.get("headers")  # an empty tuple is everybody's

    def _received(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.request":
            body = message.get("body")
            if body:
                self._request.add(body)
        elif kind == "http.disconnect":
            self._disconnected = True

    def _sent(self, message: Message) -> Message:
        """Look at a message on its way out; what is to be sent in its place."""
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                self._response.add(body)
            if not self._first_byte_ns:
                self._first_byte_ns = self._capture.now()
                if not message.get("more_body"):
                    self._complete(self._first_byte_ns)
            elif not message.get("more_body"):
                self._complete(self._capture.now())
        elif kind == "http.response.start":
            return self._response_started(message)
        elif kind == "http.response.zerocopysend":
            self._file_sent(message.get("count") or self._rest(), last=not message.get("more_body"))
        elif kind == "http.response.pathsend":
            self._file_sent(self._rest(), last=True)
        return message

    def _response_started(self, message: Message) -> Message:
        status = message["status"]
        if status < 200:
            return message  # informational; the answer is still to come
        self._status = status
        if self._span is not NO_SPAN:
            self._join_span()
        options = self._capture.options
        headers = message.get("headers") or ()
        self._response_headers = _wanted_in_any_case(headers, options.headers)
        name = options.prediction_id_header
        if name is None:
            return message
        pair = (name, self.prediction_id.encode("ascii"))
        # Any iterable is allowed, and an iterator can be read only once: by the server, as without us.
        return {**message, "headers": [*headers, pair] if isinstance(headers, list | tuple) else chain(headers, [pair])}

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
                return max(0, int(value) - self._response.size)
        return 0

    def _file_sent(self, size: int, *, last: bool) -> None:
        self._response.pass_by(size)
        now = self._capture.now()
        self._first_byte_ns = self._first_byte_ns or now
        if last:
            self._complete(now)

    def _complete(self, now: int) -> None:
        self._offer(now, End.DISCONNECT if self._disconnected else End.COMPLETE, "")

    def _end_with(self, error: BaseException | None) -> None:
        """The call is over. Without effect where the last body message was seen."""
        if not self._open:
            return
        try:
            # Nobody waits for the answer of a call that was cancelled, by asyncio, by trio or by the process's end.
            gone = self._disconnected or not (error is None or isinstance(error, Exception))
            name = "" if error is None else type(error).__name__
            self._offer(self._capture.now(), End.DISCONNECT if gone else End.ERROR, name)
        except Exception as fault:  # Ours to count, never the application's to see.
            self._abandon("end", fault)

    def _offer(self, now: int, end: End, error_type: str) -> None:
        """Hand over the one flat tuple, in the order of ``Exchange``'s fields."""
        scope = self._scope
        assert scope is not None, "an open tap has its scope"
        _, trace_id, span_id, sampled = self._span
        self._open = False
        try:
            self._capture.handoff.put(
                (
                    self.prediction_id,
                    self.model,
                    scope["method"],
                    scope["path"],
                    self._started_ns,
                    self._first_byte_ns,
                    now,
                    self._status,
                    end,
                    error_type,
                    self._request_headers,
                    self._request.kept,
                    self._request.size,
                    self._response_headers,
                    self._response.kept,
                    self._response.size,
                    trace_id,
                    span_id,
                    sampled,
                    tuple(self._annotations),
                    (),
                    0,
                    (),
                )
            )
            self._release()
        except Exception as error:  # Ours to count, never the application's to see.
            self._abandon("handoff", error)

    def _release(self) -> None:
        """Let go of bodies at once: background work may keep this object for long."""
        self._request = self._response = RELEASED
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

    async def _send_watching(self, message: Message) -> Any:
        try:
            return await self._send(message)
        except OSError:
            self._disconnected = True
            raise


def _wanted(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
    """The headers asked for. An iterator is left alone: it can be read once, and that is the receiver's."""
    if not isinstance(headers, list | tuple):
        return ()
    return tuple([(name, value) for name, value in headers if name in names])


def _wanted_in_any_case(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> Headers:
    if not isinstance(headers, list | tuple):
        return ()
    return tuple([(lower, value) for name, value in headers if (lower := name.lower()) in names])
