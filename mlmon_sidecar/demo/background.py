"""Something done again and again beside the replay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from mlmon_sidecar.errors import MlmonError

STOP_SECONDS = 15.0


class Repeated:
    """Calls ``work`` every ``seconds`` on a thread of its own while the context is open.

    A ``MlmonError`` is told once, by code, until the work succeeds again; the next beat tries again.
    """

    def __init__(self, name: str, work: Callable[[], None], seconds: float, tell: Callable[[str], None]) -> None:
        self._work = work
        self._seconds = seconds
        self._tell = tell
        self._failing = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mlmon-demo-{name}", daemon=True)

    def __enter__(self) -> Repeated:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self.beat()

    def beat(self) -> None:
        try:
            self._work()
            self._failing = ""
        except MlmonError as error:
            if error.code != self._failing:
                self._tell(f"  ({error})")
            self._failing = error.code
