"""Up to which minute everything this process saw is in its panes."""

from __future__ import annotations

from collections.abc import Iterable

from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.records import MINUTE_NS

GRACE_INTERVALS = 1.2  # a minute is complete this many flush intervals after its end
EVENT_IDLE_NS = 60_000_000_000  # who observed nothing for so long holds up nobody's minutes


class Minutes:
    """Of requests by the clock, of observed rows by their own time. The recorder's lock is held."""

    def __init__(self, models: Iterable[str], clock: Clock, interval_ns: int) -> None:
        self._models = tuple(models)
        self._clock = clock
        self._grace_ns = int(GRACE_INTERVALS * interval_ns)
        self._emptied_ns = self._counted_ns = clock.monotonic_ns()
        self._event_through: dict[str, int] = {}
        self._observed_ns: dict[str, int] = {}  # model -> when rows were last observed, monotonic

    def taken(self, before_ns: int) -> None:
        """Every exchange that ended before this reading has been taken from the hand-off."""
        self._emptied_ns = before_ns

    def counted(self) -> None:
        """Everything that was taken is in the panes."""
        self._counted_ns = self._emptied_ns

    def observed(self, model: str, newest: int) -> None:
        """Rows of ``model`` were observed, of minutes up to ``newest``, which may get more."""
        self._event_through[model] = max(newest - 1, self._event_through.get(model, -1))
        self._observed_ns[model] = self._clock.monotonic_ns()

    def expect(self, model: str) -> None:
        """``model`` will be fed by ``observe``: nobody seals its minutes by the clock."""
        self._event_through.setdefault(model, -1)
        self._observed_ns.setdefault(model, self._clock.monotonic_ns())  # from now on it may be too quiet

    def through(self) -> dict[str, int]:
        """Model to the newest minute nobody has to wait for: its end lies ``GRACE_INTERVALS`` behind, in this clock."""
        settled = self._clock.unix_at(self._counted_ns - self._grace_ns) // MINUTE_NS - 1
        awake = self._clock.monotonic_ns() - EVENT_IDLE_NS
        idle = {name for name in self._event_through if self._observed_ns[name] <= awake}
        return {name: self._event_through.get(name, settled) for name in self._models if name not in idle}
