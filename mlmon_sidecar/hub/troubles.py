"""What of the hub's work failed last, for people, and when it is tried again: not at once, for trying costs as well."""

from __future__ import annotations

from dataclasses import dataclass

from mlmon_sidecar.interfaces import Clock

FIRST_PAUSE_NS = 1_000_000_000  # doubled with every further failure
LONGEST_PAUSE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Trouble:
    error_type: str
    times: int  # in a row
    again_ns: int  # monotonic


class Troubles:
    """By part: a model's name, or "" for what all models share."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._parts: dict[str, Trouble] = {}

    def failed(self, part: str, error: BaseException) -> None:
        known = self._parts.get(part)
        times = 1 if known is None else known.times + 1
        pause = min(LONGEST_PAUSE_NS, FIRST_PAUSE_NS << min(times - 1, 10))
        self._parts[part] = Trouble(type(error).__name__, times, self._clock.monotonic_ns() + pause)

    def well(self, part: str) -> None:
        self._parts.pop(part, None)

    def waits(self, part: str) -> bool:
        """Whether it is too early for the next attempt."""
        known = self._parts.get(part)
        return known is not None and self._clock.monotonic_ns() < known.again_ns

    def sentence(self, part: str) -> str:
        """ "" where all is well."""
        known = self._parts.get(part)
        if known is None:
            return ""
        what = "evaluation" if part else "the hub's work"
        often = "" if known.times == 1 else f" {known.times} times in a row"
        return f"{what} failed{often} ({known.error_type}); it is tried again, and nothing is lost meanwhile"
