"""One status for everybody who asks within a second, and the same bytes for as long as nothing happens.

Equal bytes have an equal entity tag, so a page that polls an idle service gets 304. What changes with time alone (when
the status was made, when a recorder was heard) is renewed every fifteen seconds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import orjson

from mlmon_sidecar.hub.view import StatusView
from mlmon_sidecar.interfaces import Clock

LOOK_NS = 1_000_000_000
RENEW_NS = 15_000_000_000
PATIENCE_SECONDS = 0.25  # a seal may be under way; the last status is better than none


class StatusBoard:
    """Answers from any thread.

    Args:
        make: the present status.
        evaluating: held while evaluations go on.
    """

    def __init__(self, make: Callable[[], StatusView], evaluating: threading.RLock, clock: Clock) -> None:
        self._make = make
        self._evaluating = evaluating
        self._clock = clock
        self._lock = threading.Lock()
        self._answer = b""
        self._said = b""
        self._made_ns = self._looked_ns = 0

    def answer(self) -> bytes:
        with self._lock:
            now = self._clock.monotonic_ns()
            if not self._answer or now - self._looked_ns >= LOOK_NS:
                self._look(now)
            return self._answer

    def _look(self, now: int) -> None:
        if not self._evaluating.acquire(timeout=PATIENCE_SECONDS if self._answer else -1):
            return
        try:
            view = self._make()
        finally:
            self._evaluating.release()
        self._looked_ns = now
        said = orjson.dumps(_without_time(view), option=orjson.OPT_SERIALIZE_NUMPY)
        if said != self._said or now - self._made_ns >= RENEW_NS:
            self._said, self._made_ns = said, now
            self._answer = orjson.dumps(view, option=orjson.OPT_SERIALIZE_NUMPY)


def _without_time(view: StatusView) -> dict[str, object]:
    recorders = [{**recorder, "seen_ms_ago": 0} for recorder in view["hub"]["recorders"]]
    return {**view, "generated_at_ms": 0, "hub": {**view["hub"], "recorders": recorders}}
