"""What the demo says as things happen. Wording is pure; ``Narrator`` writes it, ``Watcher`` finds what is new."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

from mlmon_sidecar.demo.phases import Phase
from mlmon_sidecar.demo.schedule import Calendar, utc
from mlmon_sidecar.hub.view import ExportView, IncidentView

NO_TARGET = "none (set OTEL_EXPORTER_OTLP_ENDPOINT to have metrics, traces and logs sent to your collector)"


class Narrator:
    """Writes one line at a time, at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, text: str = "") -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


class Watcher:
    """Tells of incidents that opened, changed or were resolved since it last looked."""

    def __init__(self, read: Callable[[], Sequence[IncidentView]], tell: Callable[[str], None]) -> None:
        self._read = read
        self._tell = tell
        self._seen: Mapping[str, IncidentView] = {}

    def look(self) -> None:
        incidents = self._read()
        for line in news(self._seen, incidents):
            self._tell(line)
        self._seen = {incident["key"]: incident for incident in incidents}


def news(seen: Mapping[str, IncidentView], incidents: Sequence[IncidentView]) -> Iterator[str]:
    """At most one line for what became of each incident between what was seen, by key, and what is there now, and one
    for its end."""
    for incident in incidents:
        before = seen.get(incident["key"])
        if before is None:
            yield described(scaled_minute(incident["opened_ms"]), "OPENED", incident, incident["summary"])
        elif (before["tier"], before["features"]) != (incident["tier"], incident["features"]):
            transition = "RAISED" if incident["tier"] < before["tier"] else "WIDENED"
            yield described("", transition, incident, _added(before["summary"], incident["summary"]))
        if incident["resolved_ms"] is not None and (before is None or before["resolved_ms"] is None):
            yield f"  {scaled_minute(incident['resolved_ms'])}  RESOLVED P{incident['tier']} {incident['rule']}"


def described(when: str, transition: str, incident: IncidentView, sentence: str) -> str:
    """Tier, one plain sentence, evidence. ``when`` is "" where the incident does not say."""
    head = f"  {when:<16}  {transition:<8} P{incident['tier']} {incident['rule']}"
    return f"{head}: {sentence} (evidence {incident['evidence']:.2f}, alarm at 1)"


def _added(before: str, now: str) -> str:
    """What a widened summary says beyond the one that was told already."""
    return f"also {now.removeprefix(before + '; ')}" if now.startswith(before + "; ") else now


def scaled_minute(milliseconds: int) -> str:
    return f"{utc(milliseconds / 1000):%Y-%m-%d %H:%M}"


def phase_line(phase: Phase, calendar: Calendar, first_day: int) -> str:
    begins = utc(calendar.midnight(first_day))
    days = "1 day" if phase.days == 1 else f"{phase.days} days"
    return f"{begins:%Y-%m-%d}  {phase.name.upper()}, {days}: {phase.says}"


def export_line(export: ExportView) -> str:
    """The OTLP target and what became of the last export."""
    if export["target"] is None:
        return f"OTLP target: {NO_TARGET}"
    last = [f"{signal} {sent['outcome']}" for signal, sent in sorted(export["last"].items())]
    return f"OTLP target: {export['target']}; last export: {', '.join(last) or 'none yet'}"
