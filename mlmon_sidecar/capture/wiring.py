"""What every tap of one process shares. Made once, never changed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlmon_sidecar.capture import compiled
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.capture.selection import Selection, app_path
from mlmon_sidecar.errors import ConfigError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_MAX_BODY_BYTES = 48 * 1024  # per direction; larger bodies are counted, not kept
DEFAULT_MAX_STREAM_BYTES = 256 * 1024  # of an answer that is an event stream; its last chunks are kept beyond
DEFAULT_HEADERS = frozenset({b"content-type", b"content-encoding", b"content-length"})
DEFAULT_ID_HEADER = b"x-mlmon-prediction-id"
IGNORE_HEADER = b"x-mlmon-ignore"  # from trusted callers, such as load tests: do not capture this request
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")  # RFC 9110 5.6.2, lower case


class SpanHook(Protocol):
    """The host's tracing, injected so that this stage needs no OpenTelemetry. All calls run on the event loop.

    A hook may have ``idle``: (context variable, value, name of a module). While no such module is loaded ``inside``
    finds nothing, nor does ``current`` while the variable holds that very value, and they need not be called.
    """

    def current(self) -> tuple[object, int, int, bool] | None:
        """(span, trace id, span id, sampled) of the valid span that is current now, else None."""

    def inside(self) -> tuple[object, int, int, bool] | None:
        """The same as the answer begins, where there was none before and nobody told of one: a tracer further in."""

    def join(self, span: object, prediction_id: str, model: str) -> None:
        """Called once, before the answer's first message goes out: the span may still take attributes."""


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How much of an exchange is kept."""

    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES  # >= 0, per direction
    max_stream_bytes: int = DEFAULT_MAX_STREAM_BYTES  # >= 0, of text/event-stream and application/x-ndjson answers
    prediction_id_header: bytes | None = DEFAULT_ID_HEADER  # lower case; None: responses are left as they are
    headers: frozenset[bytes] = DEFAULT_HEADERS  # names kept from requests and responses, lower case
    headers_in_any_case: frozenset[bytes] = field(init=False)  # applications do write Content-Type, or CONTENT-TYPE

    def __post_init__(self) -> None:
        spelled = {spelling for name in self.headers for spelling in (name, name.title(), name.upper())}
        object.__setattr__(self, "headers_in_any_case", frozenset(spelled))
        name = self.prediction_id_header
        if name is not None and (not name or not _TOKEN.issuperset(name)):
            raise ConfigError(
                f"prediction_id_header {name!r} is not a header name",
                code="bad_header_name",
                hint=f"Use lower-case letters, digits and dashes, such as {DEFAULT_ID_HEADER.decode()!r}",
            )


@dataclass(frozen=True, slots=True)
class Capture:
    """Process-wide wiring. ``now`` is the monotonic clock in ns."""

    handoff: Handoff
    selection: Selection
    options: CaptureOptions = field(default_factory=CaptureOptions)
    span_hook: SpanHook | None = None
    faults: Faults = field(default_factory=Faults)
    now: Callable[[], int] = time.monotonic_ns
    may_ignore: Callable[[str], bool] | None = None  # is this the token of IGNORE_HEADER? None: the header is ignored
    plan: object = field(init=False, repr=False, compare=False)  # the above as the compiled tap reads it

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", None if compiled.tap is None else compiled.tap.Plan(self))

    def model_for(self, scope: Scope) -> str | None:
        """The model that the request in ``scope`` is for, or None: pass it through. Never raises."""
        try:
            if scope["type"] != "http":
                return None
            path = app_path(scope) if scope.get("root_path") else scope["path"]
            model = self.selection.match(scope["method"], path)
            if model is None or (self.may_ignore is not None and self._asks_to_be_ignored(scope)):
                return None
            return None if self.faults.tripped and self.faults.refuses() else model
        except Exception as error:  # Ours to count, never the host's to see.
            self.faults.count("selection", error)
            return None

    def _asks_to_be_ignored(self, scope: Scope) -> bool:
        """Whether a trusted caller says so: without the right token the header means nothing."""
        assert self.may_ignore is not None, "asked only where a token is configured"
        for name, value in scope["headers"]:
            if name == IGNORE_HEADER and self.may_ignore(value.decode("latin-1")):
                self.handoff.pass_over()
                return True
        return False
