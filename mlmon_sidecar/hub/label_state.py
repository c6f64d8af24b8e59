"""What labels that are complete tell: how mature the newest are, the figure of mature cohorts, and whether the estimate
that was made before they came was right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mlmon_sidecar.hub.outcome_watch import LabelCounts, label_history
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.outcomes.maturity import Maturity, maturity
from mlmon_sidecar.outcomes.metric import Watched, counts_of
from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.intervals import Z95
from mlmon_sidecar.store.contract import Point

MATURE_COHORTS = 28  # the newest mature ones that are looked at
SHOWN_COHORTS = 7  # of them make the figure
MISSED_BY = 0.02  # the estimate is broken when it is further off than this and three errors
MIN_DAYS = 3


class LabelMemory(LabelCounts, Protocol):
    """Of a store, or of a history that is replayed."""

    def outcome_cells(self, model: str, first_day: int, last_day: int) -> list[OutcomeCell]: ...
    def series(self, model: str, name: str, label: str, since_minute: int) -> list[Point]: ...


@dataclass(frozen=True, slots=True)
class EstimateGap:
    """``gap``: mean of daily estimates minus what mature labels of those days say; ``error``: one standard error."""

    days: int
    gap: float
    error: float

    @property
    def broken(self) -> bool:
        return self.days >= MIN_DAYS and abs(self.gap) > MISSED_BY + 3 * self.error


@dataclass(frozen=True, slots=True)
class LabelState:
    """``mature``: cells of the newest ``MATURE_COHORTS`` mature cohorts, oldest first."""

    maturity: Maturity
    mature: Sequence[OutcomeCell]
    gap: EstimateGap | None

    def shown(self) -> list[OutcomeCell]:
        """Cells of the newest mature cohorts that have labels."""
        days = sorted({cell.day for cell in self.mature})[-SHOWN_COHORTS:]
        return [cell for cell in self.mature if days and cell.day >= days[0]]


def label_state(store: LabelMemory, plan: ModelPlan, today: int) -> LabelState:
    """As the store knows it on the Unix day ``today``."""
    history = label_history(store, plan, today)
    known = maturity(history.slices, history.predictions, today, plan.horizon_days)
    days = [day for day in sorted(known.cohorts) if known.is_mature(day)][-MATURE_COHORTS:]
    cells = store.outcome_cells(plan.name, days[0], days[-1]) if days else []
    mature = [cell for cell in cells if cell.day in days and cell.age < plan.horizon_days]
    metric = plan.outcome_metric
    return LabelState(known, mature, None if metric is None else _gap(store, plan, metric, mature))


def _gap(store: LabelMemory, plan: ModelPlan, metric: Watched, mature: Sequence[OutcomeCell]) -> EstimateGap | None:
    by_day: dict[int, list[OutcomeCell]] = {}
    for cell in mature:
        by_day.setdefault(cell.day, []).append(cell)
    if not by_day:
        return None
    points = store.series(plan.name, f"{metric.name}_estimated", "", min(by_day) * 1440)
    weighed, labels, used = 0.0, 0, list[OutcomeCell]()
    for point in points:
        cells = by_day.get(point.at_minute // 1440, [])
        rows = sum(cell.rows for cell in cells)
        weighed, labels = weighed + point.value * rows, labels + rows
        used += cells
    counts = counts_of(metric, used)
    value, interval = metric.of_counts(counts), metric.interval_of(counts)
    if value is None or interval is None or labels <= 0:
        return None
    days = len({cell.day for cell in used})
    return EstimateGap(days, weighed / labels - value, (interval[1] - interval[0]) / (2 * Z95))
