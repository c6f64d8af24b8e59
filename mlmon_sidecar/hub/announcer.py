"""What the hub tells the world: log records, and one line of the standard library's logging for each alert."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from mlmon_sidecar.hub import events
from mlmon_sidecar.interfaces import Telling
from mlmon_sidecar.records import Event, LabelledCompletion, Measurement
from mlmon_sidecar.store import Store
from mlmon_sidecar.telemetry import Telemetry

logger = logging.getLogger("mlmon_sidecar")


class Announcer:
    """Tells incidents of the outbox at least once, and counts their transitions."""

    def __init__(self, store: Store, telemetry: Telemetry, telling: Telling | None) -> None:
        self._store, self._telemetry, self._telling = store, telemetry, telling
        self._told = 0  # id in the outbox
        self._transitions: dict[tuple[tuple[str, str], ...], int] = {}

    def tell(self, told: Iterable[Event]) -> None:
        if self._telling is None:
            return
        try:
            for event in told:
                self._telling.event(event)
        except Exception as error:  # What is told of is done all the same.
            self._telemetry.failed("telling", error)

    def tell_labelled(self, completions: Sequence[LabelledCompletion]) -> None:
        self.tell(event for labelled in completions for event in events.label_events(labelled))

    def deliver_outbox(self) -> None:
        """At least once: told, then marked."""
        waiting = self._store.outbox(self._told)
        if not waiting:
            return
        known = {incident.key: incident for incident in self._store.incidents_of({item[1] for item in waiting})}
        for _, key, transition, minute in waiting:
            incident = known.get(key)
            if incident is None:
                continue
            moved = events.transition_attributes(incident, transition)
            self._transitions[moved] = self._transitions.get(moved, 0) + 1
            logger.log(events.log_level(incident, transition), "%s", events.sentence(incident, transition))
            if self._telling is not None:
                self._telling.event(events.alert_event(incident, transition, minute))
        self._told = waiting[-1][0]
        self._store.mark_delivered([item[0] for item in waiting])

    def measurements(self) -> list[Measurement]:
        """Transitions told so far."""
        moved = self._transitions.items()
        return [Measurement("mlmon.alert.transitions", count, attributes) for attributes, count in moved]
