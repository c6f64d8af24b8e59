"""What the checks of the service itself share: which window tells the size of a change, and where there is none yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlmon_sidecar.checks.context import CheckContext

if TYPE_CHECKING:
    from mlmon_sidecar.records import Window
    from mlmon_sidecar.statistics.edetector import Alarm


def service_unready(context: CheckContext) -> str:
    """Why the service cannot be judged; "" when it can."""
    return "needs a week of traffic" if context.service is None else ""


def raised(context: CheckContext, stream: str, unit: str) -> tuple[float, int] | None:
    """Evidence and onset of a unit's alarm in this minute."""
    alarms: tuple[Alarm, ...] = () if context.service is None else context.service.alarms
    for alarm in alarms:
        if alarm.stream == stream and unit in alarm.units:
            at = alarm.units.index(unit)
            return alarm.evidence[at], alarm.onset[at]
    return None


def ended(context: CheckContext, stream: str, unit: str) -> tuple[str, ...]:
    """The unit, once it is ordinary again."""
    return (unit,) if context.service is not None and (stream, unit) in context.service.closed else ()


def window_since(context: CheckContext, minute: int) -> Window | None:
    """The shortest recent window that begins at or before a minute, else the longest."""
    chosen = None
    for chosen in context.recent.values():
        if chosen.start_minute <= minute:
            return chosen
    return chosen
