"""One daemon thread that runs a step every interval, or at once when asked."""

from __future__ import annotations

import threading
from collections.abc import Callable

THREAD_PREFIX = "mlmon-export-"


class Pump:
    """Runs ``step`` periodically until stopped, once more then, and ``end`` as the last thing. Neither may raise.

    A daemon: a step that hangs can hold neither ``stop`` nor the end of the process.
    """

    def __init__(self, name: str, interval_seconds: float, step: Callable[[], None], end: Callable[[], None]) -> None:
        self._name = THREAD_PREFIX + name
        self._interval_seconds = interval_seconds
        self._step = step
        self._end = end
        self._changed = threading.Condition()
        self._asked = 0
        self._done = 0
        self._stopping = False
        self._abandoned = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def ask(self) -> int:
        """Ask for a run that begins after this call. The answer is what ``wait`` takes."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def wait(self, ticket: int, seconds: float) -> bool:
        """Whether the run asked for has ended, after at most ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: self._done >= ticket, max(seconds, 0.0))

    def stop(self) -> int:
        """Ask for one last run, and for the end after it."""
        with self._changed:
            self._stopping = True
            return self.ask()

    def abandon(self) -> None:
        """Nobody waits any more: end after the present step, without the last run."""
        with self._changed:
            self._abandoned = True

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._asked == self._done and not self._stopping:
                    self._changed.wait(self._interval_seconds)
                if self._abandoned or (self._stopping and self._asked == self._done):
                    break
                target = self._asked
            self._step()
            with self._changed:
                self._done = target
                self._changed.notify_all()
        self._end()
