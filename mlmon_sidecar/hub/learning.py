"""A model without a baseline learns one from its first healthy traffic: proposed by itself, counted by only when
somebody approves it or a configured rule says so, and said in the log, as an event and on the page at every step.

Looked at once an hour of the model's own time. What it learns from are kept rows of the last days, a bounded sample of
them that is chosen by the random digits of their ids; none is older than the end of the last urgent incident.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import MINUTE_NS, BaselineOrder, BaselineState, HeldBaseline, Incident, Tier
from mlmon_sidecar.telemetry import logger

if TYPE_CHECKING:
    from mlmon_sidecar.hub.evaluator import ModelEvaluator
    from mlmon_sidecar.hub.plan import LearningRule
    from mlmon_sidecar.interfaces import Clock
    from mlmon_sidecar.store import Store
    from mlmon_sidecar.store.contract import SampledRow

SAMPLED_ROWS = 10_000  # built from in the hub, beside its other work; the command takes more
HOUR_NS = 60 * MINUTE_NS
WEEK_HOURS = 7 * 24
SLACK_HOURS = 1  # between the first row of a time and the first of its sample
MOST_ERRORS = 0.05  # of the last day's requests: a service that fails more often is not healthy
LEARNED = "learned"

Order = Callable[[BaselineOrder], HeldBaseline]
Build = Callable[[str, Sequence["SampledRow"]], Baseline]


@dataclass(frozen=True, slots=True)
class _Gathered:
    """Rows that could be learned from, or what is missing."""

    rows: Sequence[SampledRow] = ()
    hours: float = 0.0
    missing: str = ""


class Learning:
    """Of all models of one hub.

    Args:
        order: takes a baseline in, or approves it.
        build: a model's name and rows to a baseline. Raises ``BaselineError``.
    """

    def __init__(self, store: Store, clock: Clock, order: Order, build: Build) -> None:
        self._store, self._clock, self._order, self._build = store, clock, order, build
        self._looked: dict[str, int] = {}  # model -> Unix hour of its own time
        self._reasons: dict[str, str] = {}

    def reason(self, model: str) -> str:
        """Where the model stands, for people."""
        return self._reasons.get(model, "learning")

    def look(self, evaluator: ModelEvaluator) -> None:
        """Propose, renew or activate a baseline where it is time. Raises ``StoreError``."""
        plan, hour = evaluator.plan, evaluator.watermark // 60
        rule = plan.learning
        if rule is None or plan.baseline is not None or plan.problem or self._looked.get(plan.name, -1) >= hour:
            return
        self._looked[plan.name] = hour
        self._reasons[plan.name] = self._step(evaluator, rule)

    def _step(self, evaluator: ModelEvaluator, rule: LearningRule) -> str:
        model = evaluator.plan.name
        known = [held for held in self._store.baselines(model) if held.origin == LEARNED]
        newest = known[0] if known else None
        if newest is not None and newest.state is BaselineState.ACTIVE:
            return f"baseline {newest.baseline}, learned from served traffic, counts from its minute on"
        if newest is not None and newest.state is BaselineState.REJECTED:
            return "the learned baseline was rejected: `mlmon baseline learn` makes another"
        waiting = newest if newest is not None and newest.state is BaselineState.PROPOSED else None
        due = waiting is None or self._clock.unix_ns() - waiting.received_ns >= WEEK_HOURS * HOUR_NS
        if waiting is not None and not due and rule.activate_after_hours is None:
            return _waits(waiting, rule, 0.0)  # nothing to look for
        gathered = self._gather(evaluator, rule)
        ripe = rule.activate_after_hours is not None and gathered.hours >= rule.activate_after_hours - SLACK_HOURS
        if not gathered.missing and (ripe or due):
            return self._propose(model, gathered, known, rule, ripe)
        return gathered.missing if waiting is None else _waits(waiting, rule, gathered.hours)

    def _gather(self, evaluator: ModelEvaluator, rule: LearningRule) -> _Gathered:
        model, now = evaluator.plan.name, evaluator.watermark
        urgent = [each for each in self._store.incidents(model) if each.tier <= Tier.P2]
        still = next((each for each in urgent if each.resolved_minute is None), None)
        if still is not None:
            return _Gathered(missing=f"learning waits until this is over: {still.summary} [{still.rule}]")
        if _fails(evaluator):
            return _Gathered(missing=f"learning waits: more than {MOST_ERRORS:.0%} of the day's requests fail")
        window = max(WEEK_HOURS, rule.activate_after_hours or 0)
        since = max(now - window * 60, *(_end(each) + 1 for each in urgent), 0)
        rows = self._store.sample(model, since * MINUTE_NS, max(SAMPLED_ROWS, rule.min_rows))
        if len(rows) < rule.min_rows:
            return _Gathered(missing=f"learning {len(rows)}/{rule.min_rows}")
        hours = (rows[-1].event_ns - rows[0].event_ns) / HOUR_NS
        if hours < rule.min_hours:
            return _Gathered(rows, hours, f"learning: {hours:.0f} of {rule.min_hours} hours")
        return _Gathered(rows, hours)

    def _propose(
        self, model: str, gathered: _Gathered, known: Sequence[HeldBaseline], rule: LearningRule, ripe: bool
    ) -> str:
        try:
            baseline = self._build(model, gathered.rows)
            document = orjson.dumps(baseline.to_document()).decode()
            held = self._order(BaselineOrder("offer", document=document, origin=LEARNED))
            if ripe:
                held = self._order(BaselineOrder("approve", model, held.baseline))
        except BaselineError as error:
            logger.warning("mlmon: no baseline could be learned for model %s: %s", model, error)
            return f"no baseline could be learned: {error}"
        for each in known:
            if each.state is BaselineState.PROPOSED and each.baseline != held.baseline:
                self._store.move_baseline(each._replace(state=BaselineState.REPLACED))
        if ripe:
            hours = rule.activate_after_hours
            logger.warning(
                "mlmon: model %s counts by the learned baseline %s: learning.activate_after = %d hours are over",
                model, held.baseline, hours,
            )  # fmt: skip
            return f"learned baseline {held.baseline} counts in two minutes, as learning.activate_after says"
        return _waits(held, rule, gathered.hours)


def _waits(held: HeldBaseline, rule: LearningRule, hours: float) -> str:
    """A proposal stands. ``hours``: of healthy traffic that a newer one could be made of."""
    said = f"learned baseline {held.baseline} of {held.rows} rows waits: `mlmon baseline approve {held.baseline}`"
    if rule.activate_after_hours is None:
        return said
    return f"{said}, or by itself, {hours:.0f} of {rule.activate_after_hours} healthy hours are there"


def _end(incident: Incident) -> int:
    return incident.opened_minute if incident.resolved_minute is None else incident.resolved_minute


def _fails(evaluator: ModelEvaluator) -> bool:
    vector, cells = evaluator.day().vector, evaluator.plan.layout.traffic
    return int(vector[cells.server_error]) > MOST_ERRORS * int(vector[cells.requests])
