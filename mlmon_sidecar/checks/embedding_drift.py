"""The vectors of a text or embedding column lie elsewhere than the reference's: clusters or distances moved. P3."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import CheckContext, closed_names, smallest_seen
from mlmon_sidecar.checks.wording import together
from mlmon_sidecar.records import Finding, Layer, Tier
from mlmon_sidecar.statistics.embedding_figures import EmbeddingFigures, embedding_figures
from mlmon_sidecar.statistics.indicators import EMBEDDINGS

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.edetector import Alarm

FARTHER = 0.1  # KS of the distances from which it is said that texts or vectors lie farther from what is known


class EmbeddingDrift:
    """Units are columns; their parts are features besides, and may drift as such."""

    name = "embedding_drift"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        return context.distributions_unready() or ("" if context.layout.embeddings else "no text or vectors")

    def evaluate(self, context: CheckContext) -> list[Finding]:
        if self.ready(context) or context.step is None:
            return []
        return [self._finding(context, alarm) for alarm in context.step.alarms if alarm.stream == EMBEDDINGS]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Columns back within their tolerance."""
        return closed_names(context.step, EMBEDDINGS)

    def _finding(self, context: CheckContext, alarm: Alarm) -> Finding:
        figures = {name: column_figures(context, name) for name in alarm.units}
        known = [found for found in figures.values() if found is not None]
        return Finding(
            rule=self.name,
            layer=self.layer,
            tier=Tier.P3,
            minute=context.minute,
            summary=together([_clause(name, found) for name, found in figures.items()]),
            evidence=max(alarm.evidence),
            features=alarm.units,
            value=max((found.cluster_tv for found in known if found.cluster_tv is not None), default=None),
            rows=max((found.rows for found in known), default=0),
            details={
                "embeddings": {
                    name: _told(context, name, figures[name], evidence, onset)
                    for name, evidence, onset in zip(alarm.units, alarm.evidence, alarm.onset, strict=True)
                }
            },
        )


def column_figures(context: CheckContext, name: str) -> EmbeddingFigures | None:
    """Of the present window; None where there is nothing to compare."""
    cells = context.layout.embedding_cells[name]
    window = context.window(context.layout.traffic.rows)
    if context.reference is None or window is None:
        return None
    return embedding_figures(cells, context.reference.vector, window.vector)


def _clause(name: str, found: EmbeddingFigures | None) -> str:
    if found is None or found.cluster_tv is None:
        return f"{name} changed"
    said = [f"TV {found.cluster_tv:.2f}"]
    if found.centroid_cosine is not None:
        said.append(f"centroid cosine {found.centroid_cosine:.2f}")
    farther = found.distance_ks is not None and found.distance_ks > FARTHER
    verb = "is unlike what was known" if farther else "changed in kind"
    return f"{name} {verb} ({', '.join(said)})"


def _told(
    context: CheckContext, name: str, found: EmbeddingFigures | None, evidence: float, onset: int
) -> dict[str, Any]:
    told = {"evidence": evidence, "onset_minute": onset, **smallest_seen(context, EMBEDDINGS, name)}
    window = context.window(context.layout.traffic.rows)
    if found is None or context.reference is None or window is None:
        return told
    cells = context.layout.embedding_cells[name]
    return (
        told
        | asdict(found)
        | {
            "reference_clusters": context.reference.vector[cells.clusters].tolist(),
            "current_clusters": window.vector[cells.clusters].tolist(),
            "reference_distances": context.reference.vector[cells.distances].tolist(),
            "current_distances": window.vector[cells.distances].tolist(),
        }
    )
