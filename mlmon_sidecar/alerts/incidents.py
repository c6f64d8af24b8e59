"""The life of an incident: opened once, widened or raised perhaps, resolved once when every name in it has ended.

Pure: findings and ended names come in with their minute, transitions come out.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mlmon_sidecar.records import Finding, Incident

WIDEN_MINUTES = 24 * 60
"""A further finding of the same rule within a day of the opening joins the open incident."""

OPENED, RAISED, WIDENED, RESOLVED = "opened", "raised", "widened", "resolved"
SHOWN_CLAUSES = 6  # one a feature; the rest are counted
_REST = re.compile(r"and \d+ more")
WAITING = "waiting"  # key in an incident's details: names that have not ended yet


class Transition(NamedTuple):
    incident: Incident
    kind: str  # one of the four above; "" for a change nobody needs to be told of
    minute: int


class IncidentBook:
    """Open incidents of one model. Can be made anew from the store's open incidents at any time."""

    def __init__(self, model: str, open_incidents: Iterable[Incident] = ()) -> None:
        self._model = model
        self._open = {incident.key: incident for incident in open_incidents if incident.resolved_minute is None}

    @property
    def open(self) -> Sequence[Incident]:
        """Oldest first."""
        return sorted(self._open.values(), key=lambda incident: (incident.opened_minute, incident.key))

    def recent(self, rule: str, minute: int) -> Incident | None:
        """The open incident of ``rule`` that a finding of other names at ``minute`` would join."""
        of_rule = (incident for incident in self.open if incident.rule == rule)
        return next((i for i in of_rule if minute - i.opened_minute <= WIDEN_MINUTES), None)

    def find(self, finding: Finding, *, provisional: bool = False) -> Transition | None:
        """Open, widen, raise or confirm; None where the open incident already says all of it.

        Args:
            provisional: the pane is not sealed yet. The incident gets the key the seal would use, and the seal
                confirms it.
        """
        known = self._joined(finding)
        if known is None:
            return self._opened(finding, provisional)
        if provisional:
            return None
        return self._widened(known, finding)

    def end(self, rule: str, names: Iterable[str], minute: int) -> list[Transition]:
        """``names`` are right again. What ended before an incident opened does not concern it."""
        gone = set(names)
        moves = []
        for incident in self.open if gone else ():
            if incident.rule != rule or minute < incident.opened_minute:
                continue
            waiting = [name for name in incident.details[WAITING] if name not in gone]
            if waiting == incident.details[WAITING]:
                continue
            changed = dataclasses.replace(incident, details={**incident.details, WAITING: waiting})
            if waiting:
                self._open[incident.key] = changed
                moves.append(Transition(changed, "", minute))
            else:
                del self._open[incident.key]
                moves.append(Transition(dataclasses.replace(changed, resolved_minute=minute), RESOLVED, minute))
        return moves

    def explain(self, incident: Incident, summary: str, details: Mapping[str, object], minute: int) -> Transition:
        """More is known of an open incident: its sentence, and details in the place of those of the same key."""
        changed = dataclasses.replace(incident, summary=summary, details={**incident.details, **details})
        self._open[incident.key] = changed
        return Transition(changed, "", minute)

    def _joined(self, finding: Finding) -> Incident | None:
        of_rule = [incident for incident in self.open if incident.rule == finding.rule]
        sharing = (i for i in of_rule if set(finding.features) & set(i.details[WAITING]))
        return next(sharing, None) or self.recent(finding.rule, finding.minute)

    def _opened(self, finding: Finding, provisional: bool) -> Transition:
        told = {"value": finding.value, "threshold": finding.threshold, "rows": finding.rows}
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
            details={**finding.details, **told, WAITING: list(finding.features)},
        )
        self._open[incident.key] = incident
        return Transition(incident, OPENED, finding.minute)

    def _widened(self, known: Incident, finding: Finding) -> Transition | None:
        waiting = list(known.details[WAITING])
        returned = [name for name in finding.features if name not in waiting]
        added = tuple(name for name in finding.features if name not in known.features)
        raised = finding.tier < known.tier
        if not (returned or raised or known.provisional):
            return None
        wider = dataclasses.replace(
            known,
            tier=min(known.tier, finding.tier),
            features=known.features + added,
            evidence=max(known.evidence, finding.evidence),
            summary=_summary(known, finding, added),
            provisional=False,
            details={**_merged(known.details, finding.details), WAITING: waiting + returned},
        )
        self._open[wider.key] = wider
        return Transition(wider, RAISED if raised else WIDENED if added else "", finding.minute)


def _summary(known: Incident, finding: Finding, added: Sequence[str]) -> str:
    """What is known and what is new, in one sentence that does not grow for ever."""
    if set(known.features) <= set(finding.features):
        return finding.summary
    if not added:
        return known.summary
    clauses = [*known.summary.split("; "), *finding.summary.split("; ")]
    named = [clause for clause in clauses if not _REST.fullmatch(clause)]
    rest = len(known.features) + len(added) - SHOWN_CLAUSES
    return "; ".join(named[:SHOWN_CLAUSES]) + (f"; and {rest} more" if rest > 0 else "")


def _merged(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Mappings (one entry a feature) add up; anything else is the newer."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = {**before, **value} if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return merged
