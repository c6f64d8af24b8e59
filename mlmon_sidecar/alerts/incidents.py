"""The life of an incident: opened once, widened or raised perhaps, resolved once.

Two kinds of rule. A *held* rule names detector units that stay held out of the detector until their trailing effect is
back inside the tolerance; its incident resolves when every named unit has closed. A *level* rule is simply true or not
(collapse): its incident resolves when the check says so. Pure: minutes come in, transitions come out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mlmon_sidecar.records import Finding, Incident

WIDEN_MINUTES = 24 * 60
"""A further finding of the same rule within a day of the opening joins the open incident."""

OPENED, RAISED, WIDENED, RESOLVED = "opened", "raised", "widened", "resolved"


class Transition(NamedTuple):
    incident: Incident
    kind: str  # one of the four above
    minute: int


class IncidentBook:
    """Open incidents of one model. Rebuilt from the store's open incidents at any time."""

    def __init__(self, model: str, open_incidents: Iterable[Incident] = ()) -> None:
        self._model = model
        self._open = {incident.key: incident for incident in open_incidents if incident.resolved_minute is None}

    @property
    def open(self) -> Sequence[Incident]:
        """Oldest first."""
        return sorted(self._open.values(), key=lambda incident: (incident.opened_minute, incident.key))

    def open_of(self, rule: str) -> Sequence[Incident]:
        return [incident for incident in self.open if incident.rule == rule]

    def widening(self, rule: str, minute: int) -> Incident | None:
        """The open incident that a new finding of ``rule`` at ``minute`` would join."""
        for incident in self.open_of(rule):
            if minute - incident.opened_minute <= WIDEN_MINUTES:
                return incident
        return None

    def find(self, finding: Finding) -> Transition | None:
        """Open, widen, raise; None where the incident already says all of it."""
        known = self.widening(finding.rule, finding.minute)
        if known is None and not finding.features:
            known = next(iter(self.open_of(finding.rule)), None)  # a level rule has one open incident at most
        return self._widen(known, finding) if known is not None else self._opened(finding)

    def confirm(self, key: str) -> Incident | None:
        """A sealed pane agrees with a provisional incident: it is an ordinary one from now on."""
        incident = self._open.get(key)
        if incident is None or not incident.provisional:
            return None
        self._open[key] = dataclasses.replace(incident, provisional=False)
        return self._open[key]

    def close_units(self, closed: Mapping[str, Iterable[str]], minute: int) -> list[Transition]:
        """``closed``: rule to the units whose trailing effect is back inside the tolerance."""
        transitions = []
        for rule, units in closed.items():
            gone = set(units)
            for incident in self.open_of(rule):
                waiting = [unit for unit in incident.details.get("waiting", incident.features) if unit not in gone]
                if waiting:
                    self._open[incident.key] = _with_details(incident, waiting=waiting)
                else:
                    transitions.append(self._resolved(_with_details(incident, waiting=[]), minute))
        return transitions

    def clear(self, rule: str, minute: int) -> list[Transition]:
        """A level rule is no longer true."""
        return [self._resolved(incident, minute) for incident in self.open_of(rule)]

    def _opened(self, finding: Finding, provisional: bool = False) -> Transition:
        incident = Incident(
            key=f"{self._model}:{finding.rule}:{finding.minute}",
            model=self._model,
            rule=finding.rule,
            layer=finding.layer,
            tier=finding.tier,
            opened_minute=finding.minute,
            resolved_minute=None,
            summary=finding.summary,
            evidence=finding.evidence,
            features=finding.features,
            provisional=provisional,
            details={**finding.details, "waiting": list(finding.features), "value": finding.value,
                     "threshold": finding.threshold, "rows": finding.rows},
        )  # fmt: skip
        self._open[incident.key] = incident
        return Transition(incident, OPENED, finding.minute)

    def open_provisionally(self, finding: Finding) -> Transition | None:
        """From a pane that is not sealed yet, with the key the seal would use. None: already open."""
        if self.open_of(finding.rule):
            return None
        return self._opened(finding, provisional=True)

    def _widen(self, known: Incident, finding: Finding) -> Transition | None:
        added = tuple(name for name in finding.features if name not in known.features)
        raised = finding.tier < known.tier
        if not added and not raised:
            return None
        features = known.features + added
        waiting = [*known.details.get("waiting", ()), *finding.features]
        wider = dataclasses.replace(
            known,
            tier=min(known.tier, finding.tier),
            features=features,
            evidence=max(known.evidence, finding.evidence),
            summary=finding.summary if raised or not known.features else f"{known.summary}; {finding.summary}",
            details={**_merged(known.details, finding.details), "waiting": list(dict.fromkeys(waiting))},
        )
        self._open[wider.key] = wider
        return Transition(wider, RAISED if raised else WIDENED, finding.minute)

    def _resolved(self, incident: Incident, minute: int) -> Transition:
        del self._open[incident.key]
        return Transition(dataclasses.replace(incident, resolved_minute=minute), RESOLVED, minute)


def _with_details(incident: Incident, **changes: object) -> Incident:
    return dataclasses.replace(incident, details={**incident.details, **changes})


def _merged(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Per-feature mappings add up; anything else is the newer."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = {**before, **value} if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged
