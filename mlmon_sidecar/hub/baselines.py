"""Baselines that the hub was given while it runs, and which of them counts now.

An approved baseline takes the place of the one that the configuration names, or of none, two minutes later: by then
every recorder has asked (``recorder/adopting.py``), so that a minute is counted by one layout. It stands there until
another is approved, or until the configuration names another document than it did at the approval.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import orjson

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.records import MINUTE_NS, BaselineOrder, BaselineState, HeldBaseline
from mlmon_sidecar.store import Store
from mlmon_sidecar.telemetry import logger

AHEAD_MINUTES = 2
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
ORIGINS = ("pushed", "learned")


def baseline_id(baseline: Baseline | None) -> str:
    """16 hex digits over the document; "" for none."""
    if baseline is None:
        return ""
    return hashlib.sha256(orjson.dumps(baseline.to_document(), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


class Baselines:
    """Of all models of one hub.

    Args:
        plans: as the configuration has them.
        policy: hash of the redaction policy that serves.
    """

    def __init__(self, store: Store, plans: Iterable[ModelPlan], clock: Clock, policy: str) -> None:
        self._store, self._clock, self._policy = store, clock, policy
        self._configured = {plan.name: plan for plan in plans}
        self._over = {name: baseline_id(plan.baseline) for name, plan in self._configured.items()}
        self._active = self._read()

    def order(self, order: BaselineOrder) -> HeldBaseline:
        """Raises ``BaselineError`` for what cannot be used, or is not there."""
        if order.action == "offer":
            return self._offer(order)
        held = self._held(order)
        if order.action == "reject":
            _require_undecided(held)
            moved = held._replace(state=BaselineState.REJECTED)
        elif order.action == "approve":
            self._fit(self.load(held))  # the configuration may have changed since it came
            through = self._clock.unix_ns() // MINUTE_NS + AHEAD_MINUTES
            moved = held._replace(state=BaselineState.ACTIVE, from_minute=through, over=self._over[held.model])
        else:
            raise BaselineError(
                f"there is no order {order.action!r}", code="bad_order", hint="Known: offer, approve, reject."
            )
        self._store.move_baseline(moved)
        self._active = self._read()
        logger.warning(
            "mlmon: baseline %s of model %s (%d rows of %s) is %s%s", moved.baseline, moved.model, moved.rows,
            moved.source, moved.state, " in two minutes" if moved.state is BaselineState.ACTIVE else "",
        )  # fmt: skip
        return moved

    def listed(self, model: str | None = None) -> Sequence[HeldBaseline]:
        """Newest first."""
        return self._store.baselines(model)

    def document(self, model: str, baseline: str) -> str:
        found = self._store.baseline_document(model, baseline)
        if found is None:
            raise _unknown(model, baseline)
        return found

    @property
    def active(self) -> Mapping[str, HeldBaseline]:
        """What takes the place of the configured baseline, by model; from its minute on."""
        return self._active

    def plan(self, model: str) -> ModelPlan:
        """How ``model`` is watched once its active baseline counts."""
        configured = self._configured[model]
        if model not in self._active:
            return configured
        baseline = self.load(self._active[model])
        return replace(configured, layout=baseline.layout, baseline=baseline, problem="")

    def plans_at(self, minute: int) -> list[ModelPlan]:
        """Of every model, as they are at a minute. One that cannot be read costs its model the comparison."""
        return [self._plan_at(name, minute) for name in self._configured]

    def _plan_at(self, model: str, minute: int) -> ModelPlan:
        active = self._active.get(model)
        if active is None or active.from_minute > minute:
            return self._configured[model]
        try:
            return self.plan(model)
        except BaselineError as error:
            logger.error("mlmon: watching %s without its approved baseline: %s", model, error)
            return replace(self._configured[model], problem=f"the approved baseline cannot be used: {error}")

    def load(self, held: HeldBaseline) -> Baseline:
        return self._read_document(self.document(held.model, held.baseline))

    def _offer(self, order: BaselineOrder) -> HeldBaseline:
        if order.origin not in ORIGINS:
            raise BaselineError(
                f"there is no origin {order.origin!r}", code="bad_order", hint=f"Known: {', '.join(ORIGINS)}."
            )
        if len(order.document) > MAX_DOCUMENT_BYTES:
            raise BaselineError(
                "the baseline is too large", code="baseline_size", hint=f"At most {MAX_DOCUMENT_BYTES >> 20} MiB."
            )
        baseline = self._read_document(order.document)
        self._fit(baseline)
        name = baseline_id(baseline)
        held = HeldBaseline(
            name, baseline.layout.model, BaselineState.PROPOSED, 0, self._clock.unix_ns(), order.origin, "",
            baseline.rows, baseline.source, baseline.created,
        )  # fmt: skip
        known = [each for each in self._store.baselines(held.model) if each.baseline == name]
        if not known:
            self._store.keep_baseline(held, order.document)
            logger.warning(
                "mlmon: a %s baseline of model %s waits for approval: %s, %d rows of %s", held.origin, held.model,
                name, held.rows, held.source,
            )  # fmt: skip
        return known[0] if known else held

    @staticmethod
    def _read_document(text: str) -> Baseline:
        try:
            document = json.loads(text)
        except ValueError as error:
            raise BaselineError("the baseline is not JSON", code="baseline_invalid") from error
        if not isinstance(document, dict):
            raise BaselineError("that is no baseline", code="baseline_invalid")
        return Baseline.from_document(document)

    def _fit(self, baseline: Baseline) -> None:
        """Raises ``BaselineError`` where it is of no model here, or was redacted by other rules."""
        if baseline.layout.model not in self._configured:
            known = ", ".join(sorted(self._configured)) or "none"
            raise BaselineError(
                f"the baseline is of model {baseline.layout.model!r}",
                code="baseline_model",
                hint=f"It is of model {baseline.layout.model!r}; configured here: {known}.",
            )
        baseline.require_policy(self._policy)

    def _held(self, order: BaselineOrder) -> HeldBaseline:
        for each in self._store.baselines(order.model):
            if each.baseline == order.baseline:
                return each
        raise _unknown(order.model, order.baseline)

    def _read(self) -> dict[str, HeldBaseline]:
        """An approval holds as long as the configuration names what it named then."""
        return {
            each.model: each
            for each in self._store.baselines()
            if each.state is BaselineState.ACTIVE and self._over.get(each.model) == each.over
        }


def _require_undecided(held: HeldBaseline) -> None:
    if held.state is not BaselineState.PROPOSED:
        raise BaselineError(
            f"baseline {held.baseline} is {held.state}, not proposed",
            code="baseline_decided",
            hint=f"It is {held.state} already; to leave an active one, approve another.",
        )


def _unknown(model: str, baseline: str) -> BaselineError:
    return BaselineError(
        f"the store holds no baseline {baseline} of model {model}",
        code="unknown_baseline",
        hint="See `mlmon baseline list`.",
    )
