"""What went wrong in our own code on the event loop: counted here, told elsewhere, never seen by the application."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mlmon_sidecar.capture import compiled

MAX_KINDS = 64  # distinct (component, error type) pairs; error types can come from the host's objects
OTHER = ("_other", "_other")
TRIP_LOSSES = 50  # exchanges lost by faults of ours ...
TRIP_WINDOW_NS = 60_000_000_000  # ... within so long: something is wrong, and capture stops for a while
PAUSE_NS = 30_000_000_000


class _PureFuse:
    tripped: bool


if TYPE_CHECKING or compiled.tap is None:
    _Fuse = _PureFuse
else:
    _Fuse = compiled.tap.Fuse  # this member, for the compiled tap to read


class Faults(_Fuse):
    """Cumulative counts by component and error type. The loop logs nothing: the recorder reads and reports.

    Any thread may count: ``annotate`` runs in the handlers' threads. Only a fault pays for the lock.
    """

    def __init__(self, now: Callable[[], int] = time.monotonic_ns) -> None:
        # Re-entrant: the allocation inside may run a finaliser of the host's that comes back here.
        self._lock = threading.RLock()
        self._now = now  # monotonic ns
        self._counts: dict[tuple[str, str], int] = {}
        self._lost = 0
        self._window_ns = self._window_lost = 0
        self._resumes_ns = 0
        self._trips = 0
        self.tripped = False  # one reading a request; the rest below is for when it is true

    def count(self, component: str, error: BaseException) -> None:
        """One of our parts raised. Only the type is kept: the text may hold payload. Never raises itself."""
        try:
            key = (component, type(error).__name__)
            with self._lock:
                if key not in self._counts and len(self._counts) >= MAX_KINDS:
                    key = OTHER
                self._counts[key] = self._counts.get(key, 0) + 1
        except Exception:
            return  # nobody is left to be told

    def lose(self) -> None:
        """A selected exchange never reached the hand-off because of a fault. Too many, and capture switches off.

        Never raises.
        """
        try:
            with self._lock:
                self._lost += 1
                now = self._now()
                if now - self._window_ns > TRIP_WINDOW_NS:
                    self._window_ns, self._window_lost = now, 0
                self._window_lost += 1
                if self._window_lost >= TRIP_LOSSES and not self.tripped:
                    self._trips += 1
                    self._resumes_ns = now + PAUSE_NS
                    self.tripped = True
        except Exception:
            return  # nobody is left to be told

    def refuses(self) -> bool:
        """Asked for a selected exchange while ``tripped``: True counts it as lost, until the pause is over."""
        with self._lock:
            if self._now() >= self._resumes_ns:
                self.tripped = False
                self._window_lost = 0
                return False
            self._lost += 1
            return True

    @property
    def lost(self) -> int:
        """Selected exchanges that were never offered to the hand-off. They stand outside its own identity."""
        return self._lost

    @property
    def trips(self) -> int:
        """How often capture switched itself off."""
        return self._trips

    def snapshot(self) -> Mapping[tuple[str, str], int]:
        """A copy of the counts, ``(component, error type) -> times``."""
        with self._lock:
            return dict(self._counts)
