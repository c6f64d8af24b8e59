"""What went wrong in our own code on the event loop: counted here, told elsewhere, never seen by the application."""

from __future__ import annotations

import threading
from collections.abc import Mapping

MAX_KINDS = 64  # distinct (component, error type) pairs; error types can come from the host's objects
OTHER = ("_other", "_other")


class Faults:
    """Cumulative counts by component and error type. The loop logs nothing: the recorder reads and reports.

    Any thread may count: ``annotate`` runs in the handlers' threads. Only a fault pays for the lock.
    """

    def __init__(self) -> None:
        # Re-entrant: the allocation inside may run a finaliser of the host's that comes back here.
        self._lock = threading.RLock()
        self._counts: dict[tuple[str, str], int] = {}
        self._lost = 0

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
        """A selected exchange never reached the hand-off because of a fault. Never raises."""
        try:
            with self._lock:
                self._lost += 1
        except Exception:
            return  # nobody is left to be told

    @property
    def lost(self) -> int:
        """Selected exchanges that were never offered to the hand-off. They stand outside its own identity."""
        return self._lost

    def snapshot(self) -> Mapping[tuple[str, str], int]:
        """A copy of the counts, ``(component, error type) -> times``."""
        with self._lock:
            return dict(self._counts)
