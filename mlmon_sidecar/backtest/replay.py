"""The hub's evaluation over a history: real detectors, checks and incidents, and nothing written anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.alerts.incidents import Transition
from mlmon_sidecar.backtest.labels import Gain, LabelBook, last_day
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.seal import Delta, Sums

if TYPE_CHECKING:
    from mlmon_sidecar.hub.plan import ModelPlan
    from mlmon_sidecar.records import Incident, IntVector, Losses, OutcomeCell, Pane
    from mlmon_sidecar.statistics.layout import Layout
    from mlmon_sidecar.store.contract import ModelState, Point, StoredPane

DAY = 1440
DELTAS_PER_SEAL = 64


@dataclass(frozen=True, slots=True)
class Alert:
    """One incident as it ended, and how it got there."""

    incident: Incident
    moves: tuple[Transition, ...]  # opened, widened, raised, resolved, and silent ones; in order


@dataclass(frozen=True, slots=True)
class Timeline:
    """When rows came.

    Attributes:
        start: the first minute of the first pane; -1 without any.
        end: (panes,) last minute of each, ascending.
        rows: (panes,) decoded rows up to and with it.
    """

    start: int
    end: IntVector
    rows: IntVector

    @property
    def total(self) -> int:
        return int(self.rows[-1]) if len(self.rows) else 0

    def rows_before(self, minute: int) -> int:
        """Rows of all panes that end before ``minute``."""
        at = int(np.searchsorted(self.end, minute))
        return int(self.rows[at - 1]) if at else 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """What would have happened.

    Attributes:
        alerts: for each plan, in the order they opened.
    """

    timeline: Timeline
    alerts: Sequence[Sequence[Alert]]


def replay(
    plans: Sequence[ModelPlan],
    deltas: Iterable[Delta],
    known: Sequence[Gain] = (),
    progress: Callable[[int], None] = lambda rows: None,
) -> Replayed:
    """Feed a history to one evaluation a plan.

    Args:
        plans: of one model and layout; they may differ in what they alarm at.
        deltas: ascending in time, each minute or hour once.
        known: labels.
        progress: called with the rows taken so far.
    """
    runs = [_Run(plan, known) for plan in plans]
    layout = plans[0].layout
    start = -1
    ends: list[int] = []
    rows: list[int] = []
    taken = 0
    source = iter(deltas)
    while some := tuple(islice(source, DELTAS_PER_SEAL)):
        start = start if ends else some[0].minute + 1 - some[0].minutes
        for delta in some:
            taken += int(delta.vector[layout.traffic.rows])
            ends.append(delta.minute)
            rows.append(taken)
        for run in runs:
            run.take(some)
        progress(taken)
    if ends:
        for run in runs:
            run.take(tuple(_days_without_rows(layout, ends[-1], last_day(known))))
    timeline = Timeline(start, np.array(ends, dtype=np.int64), np.array(rows, dtype=np.int64))
    return Replayed(timeline, [run.alerts() for run in runs])


def _days_without_rows(layout: Layout, minute: int, through: int) -> Iterator[Delta]:
    """Time goes on when the rows have ended, until the last label is judged."""
    nothing = np.zeros(layout.size, np.int64)
    return (Delta(day * DAY, nothing, {}) for day in range(minute // DAY + 1, through + 1))


class _Run:
    """One evaluation, and what it said."""

    def __init__(self, plan: ModelPlan, known: Sequence[Gain]) -> None:
        self._memory = _Nothing(LabelBook(known))
        self._evaluator = ModelEvaluator(plan, self._memory, curves=False)
        self._layout, self._rows = plan.layout.hash, plan.layout.traffic.rows
        self._moves: dict[str, list[Transition]] = {}

    def take(self, deltas: tuple[Delta, ...]) -> None:
        if not deltas:
            return
        minutes = tuple(delta.minute for delta in deltas)
        for delta in deltas:
            self._memory.predictions[delta.minute // DAY] += int(delta.vector[self._rows])
        seal = self._evaluator.advance(Sums((), (), {self._layout: deltas}, minutes, {}))
        self._memory.labels.judge(seal.judged)
        for incident, kind, minute in seal.incidents:
            self._moves.setdefault(incident.key, []).append(Transition(incident, kind, minute))

    def alerts(self) -> list[Alert]:
        found = [Alert(moves[-1].incident, tuple(moves)) for moves in self._moves.values()]
        return sorted(found, key=lambda alert: (alert.incident.opened_minute, alert.incident.tier, alert.incident.key))


class _Nothing:
    """The memory of an evaluation that begins anew and is never interrupted: there is nothing to read back but labels
    that came meanwhile, and how many predictions they are about. What the page alone shows is not made."""

    def __init__(self, labels: LabelBook) -> None:
        self.labels = labels
        self.predictions: Counter[int] = Counter()  # by Unix day

    def model_state(self, model: str) -> ModelState | None:
        return None

    def incidents(self, model: str | None = None, *, only_open: bool = False) -> list[Incident]:
        return []

    def fleet_panes(self, model: str, start: int, end: int) -> list[Pane]:
        return []

    def newer_panes(self, model: str, after: int) -> list[StoredPane]:
        return []

    def outcome_cells(self, model: str, first_day: int, last_day: int) -> list[OutcomeCell]:
        return []  # estimates are compared with labels by the curves of a service, and a history has none

    def series(self, model: str, name: str, label: str, since_minute: int) -> list[Point]:
        return []

    def losses(self, first_day: int, last_day: int) -> dict[int, Losses]:
        return {}  # a history loses nothing

    def unjudged_cells(self, model: str, closed_by: int) -> list[OutcomeCell]:
        return self.labels.unjudged(closed_by)

    def label_slices(self, model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]:
        return self.labels.slices(first_day, last_day)

    def predictions_per_day(self, model: str, first_day: int, last_day: int) -> dict[int, int]:
        return {day: rows for day, rows in self.predictions.items() if first_day <= day <= last_day}


def with_budget(plan: ModelPlan, days: float) -> ModelPlan:
    """The same plan with another false-alarm budget."""
    return replace(plan, false_alarm_days=days)
