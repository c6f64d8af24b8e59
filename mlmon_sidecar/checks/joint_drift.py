"""Features no longer go together as they did, though each may look as ever. P3, and one thing however many they are.

Where one of the features has itself drifted, that says it: what depends on it moves with it, and nothing is told here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import CheckContext, closed_names, is_held, smallest_seen
from mlmon_sidecar.checks.wording import together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.distances import kolmogorov_smirnov
from mlmon_sidecar.statistics.indicators import FEATURES, JOINT
from mlmon_sidecar.statistics.joint_space import ALL_TOGETHER

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector
    from mlmon_sidecar.statistics.edetector import Alarm
    from mlmon_sidecar.statistics.joint_space import JointSpace

SHOWN_MEMBERS = 3  # of those that tell most of a feature
SHOWN_MOVED, MOVED = 2, 0.15  # of the residuals, with at least this KS


class JointDrift:
    """Units are features of which the others tell something, and all together."""

    name = "joint_drift"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        return context.distributions_unready() or (
            "" if context.layout.joint else "no features that are counted together"
        )

    def evaluate(self, context: CheckContext) -> list[Finding]:
        space = context.layout.joint
        if self.ready(context) or context.step is None or space is None:
            return []
        found = (self._finding(context, space, alarm) for alarm in context.step.alarms if alarm.stream == JOINT)
        return [finding for finding in found if finding is not None]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Units back within their tolerance."""
        return closed_names(context.step, JOINT)

    def _finding(self, context: CheckContext, space: JointSpace, alarm: Alarm) -> Finding | None:
        told = {
            name: {"evidence": evidence, "onset_minute": onset, **_told(context, space, name)}
            for name, evidence, onset in zip(alarm.units, alarm.evidence, alarm.onset, strict=True)
            if not any(is_held(context.step, FEATURES, member) for member in space.members(name))
        }
        if not told:
            return None
        distances = [said["ks"] for said in told.values() if said.get("ks") is not None]
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3,
            minute=context.minute,
            summary=together([_clause(name, said) for name, said in told.items()]),
            evidence=max(said["evidence"] for said in told.values()),
            features=tuple(told),
            value=max(distances, default=None),
            rows=max((said.get("rows", 0) for said in told.values()), default=0),
            details={"joint": told},
        )


def _clause(name: str, said: dict[str, Any]) -> str:
    size = "" if said.get("ks") is None else f" (KS {said['ks']:.2f} of what they leave unexplained)"
    if name == ALL_TOGETHER:
        most = " and ".join(said.get("most", ()))
        return f"features no longer go together as they did{f', {most} most' if most else ''}{size}"
    others = said["members"][:SHOWN_MEMBERS]
    return f"{name} no longer goes with {', '.join(others) or 'the others'} as it did{size}"


def _most_moved(context: CheckContext, space: JointSpace, vector: IntVector) -> list[str]:
    """The features whose residuals moved most, among those that moved at all."""
    found = []
    for each in space.residuals:
        bins = context.layout.joint_cells[each.name].bins
        assert context.reference is not None
        distance = kolmogorov_smirnov(context.reference.vector[bins], vector[bins])
        if distance is not None and distance > MOVED:
            found.append((-distance, each.name))
    return [name for _, name in sorted(found)[:SHOWN_MOVED]]


def _told(context: CheckContext, space: JointSpace, name: str) -> dict[str, Any]:
    """All that is needed to draw it: what is left unexplained, before and now."""
    told: dict[str, Any] = {"members": [member for member in space.members(name) if member != name]}
    told |= smallest_seen(context, JOINT, name)
    cells = context.layout.joint_cells[name]
    window = context.window(context.layout.traffic.rows)
    if context.reference is None or window is None:
        return told
    before, after = context.reference.vector[cells.bins], window.vector[cells.bins]
    if name == ALL_TOGETHER:
        told["most"] = _most_moved(context, space, window.vector)
    return told | {
        "ks": kolmogorov_smirnov(before, after),
        "rows": int(after.sum()),
        "reference_bins": before.tolist(),
        "current_bins": after.tolist(),
        "window_minutes": [window.start_minute, window.end_minute],
    }
