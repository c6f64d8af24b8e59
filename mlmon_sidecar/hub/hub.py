"""The hub: takes flushes once, seals minutes, joins labels, answers the page. One per store.

``flush``, ``labels`` and ``query`` may be called from any thread; ``tick`` from one. Intake touches the store alone, so
it never waits for an evaluation; evaluations and views share one lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub import events, status
from mlmon_sidecar.hub.announcer import Announcer
from mlmon_sidecar.hub.baselines import Baselines, baseline_id
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.figures import model_figures
from mlmon_sidecar.hub.intake import Intake
from mlmon_sidecar.hub.label_privacy import LabelPrivacy, default_privacy
from mlmon_sidecar.hub.learning import Build, Learning
from mlmon_sidecar.hub.plan import ModelPlan
from mlmon_sidecar.hub.recorders import Recorders, complete_through
from mlmon_sidecar.hub.retention import Retention
from mlmon_sidecar.hub.seal import sum_panes
from mlmon_sidecar.hub.status_board import StatusBoard
from mlmon_sidecar.hub.troubles import Troubles
from mlmon_sidecar.hub.view import PullView
from mlmon_sidecar.interfaces import Clock, Telling
from mlmon_sidecar.outcomes.metric import Metric, Watched
from mlmon_sidecar.records import (
    MINUTE_NS,
    BaselineOrder,
    Distribution,
    Erased,
    Flush,
    FlushReceipt,
    HeldBaseline,
    Label,
    LabelReceipt,
    Measurement,
    Pane,
)
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.contract import StoredPane
from mlmon_sidecar.telemetry import Telemetry

logger = logging.getLogger("mlmon_sidecar")

SEAL_MINUTES = 64  # minutes with data in one sealing transaction
LABELS_PER_JOIN = 2_000
NO_MODEL = "_unknown"


@dataclass(frozen=True, slots=True)
class HubOptions:
    flush_interval_seconds: float = 1.0
    role: Literal["embedded", "separate"] = "embedded"  # for people
    store_name: str = ""
    clock_scale: float = 1.0
    export_bins: bool = False  # what is in the bins of each feature


class Companion(Protocol):
    """Work of its own thread that begins and ends with the hub's."""

    def start(self) -> None: ...
    def stop(self, deadline_seconds: float) -> None: ...


class Hub:
    """Implements ``interfaces.HubClient`` in the process that owns the store."""

    def __init__(
        self,
        store: Store,
        plans: Sequence[ModelPlan],
        clock: Clock,
        telemetry: Telemetry,
        options: HubOptions | None = None,
        *,
        telling: Telling | None = None,
        export_outcome: Callable[[], Mapping[str, object]] | None = None,
        privacy: LabelPrivacy | None = None,
        build_baseline: Build | None = None,
    ) -> None:
        """``build_baseline``: of a model's rows, for those that learn; None: no model does."""
        self.store = store
        self.clock = clock
        self.options = options or HubOptions()
        self.telemetry = telemetry
        self._export_outcome = export_outcome
        self._lock = threading.RLock()
        self._intake = Intake(store, clock, telemetry, privacy or default_privacy())
        self._announcer = Announcer(store, telemetry, telling)
        store.take_over()
        self.recorders = Recorders(store, clock, self.options.flush_interval_seconds, self.options.clock_scale)
        self.baselines = Baselines(store, plans, clock, self._intake.privacy.policy)
        self._evaluators: dict[str, ModelEvaluator] = {}
        self._compared: dict[str, str] = {}  # model to the id of the baseline it is compared with
        for plan in self.baselines.plans_at(clock.unix_ns() // MINUTE_NS):
            self._watch(plan)
        for plan in plans:
            if plan.trusted_sources:
                store.release_labels(plan.name, plan.trusted_sources)
        self._ahead: set[str] = set()  # models whose evaluator may be ahead of the store
        self._since = self._listened = clock.unix_ns() // MINUTE_NS  # the minute it began in
        self.troubles = Troubles(clock)
        self._retention = Retention(store, clock)
        self.learning = None if build_baseline is None else Learning(store, clock, self.baseline, build_baseline)
        self.companions: list[Companion] = []
        self.pulls: dict[str, PullView] = {}  # by model
        self._board = StatusBoard(lambda: status.status(self), self._lock, clock)

    # ------------------------------------------------------------ HubClient

    def flush(self, flush: Flush) -> FlushReceipt:
        self._intake.require_sizes(flush.panes)
        self.recorders.heard(flush.recorder_id)  # first: a tick between the two would not wait for it
        return self._intake.flush(flush)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._intake.labels(labels, key, None)

    def pulled(self, labels: Sequence[Label], place: tuple[str, str]) -> Sequence[LabelReceipt]:
        """As ``labels``; with them it is kept where the next pull goes on (``Store.place``)."""
        return self._intake.labels(labels, "", place)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self.store.erase(ids, self._intake.privacy.names(aliases))

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        with self._lock:
            held = self.baselines.order(order)
        self._announcer.tell([events.baseline_event(held, self.clock.unix_ns())])
        return held

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        """``status``, ``series`` (model, name, label, since), ``incidents`` (model), ``baselines`` (model) or
        ``baseline`` (model, baseline).

        Curves and incidents come from the store and wait for no evaluation. The status is made at most once a second
        for everybody.
        """
        if path == "status":
            return self._board.answer()
        return status.answer(self, path, params)

    def close(self) -> None:
        self.store.close()

    # ------------------------------------------------------------ the hub's own work

    def tick(self, until_ns: int | None = None) -> int:
        """Join labels, seal what is complete, page what cannot wait. Returns the minutes sealed.

        Args:
            until_ns: no further piece is sealed after it, monotonic; the next tick, or hub, goes on.

        Raises ``StoreError``: then nothing can be done. Any other fault is one model's, and does not stop the others.
        """
        self.store.join_labels(LABELS_PER_JOIN, self._announcer.tell_labelled)
        self._hear_silence()
        newest = self.store.open_models()  # before the recorders: whoever sent these panes is among them
        recorders = self.recorders.live()
        sealed = 0
        for model, last in newest.items():
            if self.troubles.waits(model):
                continue
            try:
                sealed += self._seal_model(model, min(last, complete_through(model, recorders, last)), until_ns)
                self._page_early(model)
            except StoreError:
                raise
            except Exception as error:  # One model's fault is not the others'.
                self.telemetry.failed("evaluation", error)
                self.troubles.failed(model, error)
            else:
                self.troubles.well(model)
        self._page_silence(newest)
        self._announcer.deliver_outbox()
        self._learn()
        self._tidy()
        return sealed

    def _learn(self) -> None:
        """Not under the lock: a baseline takes seconds to build."""
        if self.learning is None:
            return
        for evaluator in self.evaluators():
            try:
                self.learning.look(evaluator)
            except StoreError:
                raise
            except Exception as error:  # The model is watched as before, and an hour later it is tried again.
                self.telemetry.failed("learning", error)

    def _hear_silence(self) -> None:
        """Predictions without a label for long enough get the one that silence means, by their model's own time."""
        now_ns = self.clock.unix_ns()
        for evaluator in self.evaluators():
            assumption = evaluator.plan.assumption
            if assumption is not None and evaluator.watermark >= 0:
                watermark_ns = evaluator.watermark * MINUTE_NS
                self.store.assume_labels(evaluator.plan.name, assumption, watermark_ns, now_ns, LABELS_PER_JOIN)

    def _tidy(self) -> None:
        with self._lock:
            kept = {name: (each.watermark, each.plan.horizon_days) for name, each in self._evaluators.items()}
        self._retention.step(kept)
        self.recorders.forget()

    def _seal_model(self, model: str, through: int, until_ns: int | None) -> int:
        sealed = 0
        while until_ns is None or self.clock.monotonic_ns() < until_ns:
            change = self._change_of_baseline(model)
            reached = through if change is None else min(through, change - 1)
            stored = self.store.open_panes(model, reached, SEAL_MINUTES)
            if not stored:
                if change is None or through < change:
                    return sealed
                self._change_baseline(model, change)
                continue
            with self._lock:
                evaluator = self._evaluator(model)
                with self._as_stored(evaluator):
                    before = self._sealed_before(model, evaluator, stored)
                    sums = sum_panes(stored, before, evaluator.plan.shadow)
                    self.store.seal(evaluator.advance(sums))
            sealed += len(sums.minutes)
        return sealed

    def _watch(self, plan: ModelPlan) -> None:
        self.store.save_layout(plan.layout.hash, plan.name, plan.layout.to_document())
        self._intake.expect(plan)
        self._evaluators[plan.name] = ModelEvaluator(plan, self.store)
        self._compared[plan.name] = baseline_id(plan.baseline)

    def _change_of_baseline(self, model: str) -> int | None:
        """The minute from which another baseline counts than now; None: none is waiting."""
        active = self.baselines.active.get(model)
        return None if active is None or self._compared[model] == active.baseline else active.from_minute

    def _change_baseline(self, model: str, minute: int) -> None:
        """Every minute before it is sealed. What is open was found against another baseline, and ends with it."""
        with self._lock:
            evaluator = self._evaluator(model)
            with self._as_stored(evaluator):
                self.store.write_incidents(evaluator.end_comparison(minute))
            self._watch(self.baselines.plan(model))
        logger.warning("mlmon: model %s is compared with baseline %s now", model, self.baselines.active[model].baseline)

    @contextmanager
    def _as_stored(self, evaluator: ModelEvaluator) -> Iterator[None]:
        """Evaluating goes ahead of the store until it commits. Where it does not, the evaluator starts again from the
        store: at once, or before its next use where the store cannot even be read."""
        name = evaluator.plan.name
        if name in self._ahead:
            evaluator.reload()
        self._ahead.add(name)
        try:
            yield
        except BaseException:
            evaluator.reload()
            self._ahead.discard(name)
            raise
        self._ahead.discard(name)

    def _sealed_before(self, model: str, evaluator: ModelEvaluator, stored: Sequence[StoredPane]) -> list[Pane]:
        late = {item.pane.key.minute for item in stored if item.pane.key.minute <= evaluator.watermark}
        return self.store.fleet_panes_of(model, sorted(late)) if late else []

    def _evaluator(self, model: str) -> ModelEvaluator:
        """A model nobody configured here still has its panes summed and its traffic shown."""
        if model not in self._evaluators:
            self._evaluators[model] = ModelEvaluator(ModelPlan.unconfigured(model), self.store)
        return self._evaluators[model]

    def _page_early(self, model: str) -> None:
        """What cannot wait for the seal. An incident that was not written must be found again."""
        evaluator = self._evaluators.get(model)
        if evaluator is None:
            return
        with self._lock, self._as_stored(evaluator):
            found = evaluator.look_ahead()
            if found:
                self.store.write_incidents(found)

    def _page_silence(self, newest: Mapping[str, int]) -> None:
        """Traffic that stopped, once a minute. Only the silence that this hub has heard itself counts."""
        minute = self.clock.unix_ns() // MINUTE_NS
        if minute <= self._listened:
            return
        self._listened = minute
        for model, evaluator in list(self._evaluators.items()):
            if self.troubles.waits(model):
                continue
            try:
                with self._lock, self._as_stored(evaluator):
                    found = evaluator.look_for_silence(max(self._since, newest.get(model, -1)), minute)
                    if found:
                        self.store.write_incidents(found)
            except StoreError:
                raise
            except Exception as error:  # One model's fault is not the others'.
                self.telemetry.failed("evaluation", error)
                self.troubles.failed(model, error)

    # ------------------------------------------------------------ figures

    def measurements(self) -> list[Measurement | Distribution]:
        """Model-level figures: they come from the hub only."""
        with self._lock:
            figures: list[Measurement | Distribution] = [Measurement("mlmon.self.hub.leader", 1)]
            for evaluator in self._evaluators.values():
                bins = self.options.export_bins
                figures += model_figures(evaluator, self.store, self.clock.unix_ns(), bins=bins)
            for status, count in self.store.label_counts("").items():  # that named no model, and no prediction came
                attributes = (("mlmon.model.name", NO_MODEL), ("mlmon.label.status", status))
                figures.append(Measurement("mlmon.outcome.labels", count, attributes))
            figures += self._announcer.measurements()
            return figures

    def evaluators(self) -> Sequence[ModelEvaluator]:
        return [self._evaluators[name] for name in sorted(self._evaluators)]

    def sealed_through(self, model: str) -> int:
        """-1: nothing is sealed."""
        known = self._evaluators.get(model)
        return -1 if known is None else known.watermark

    def outcome_metric(self, model: str, name: str) -> Watched | None:
        """The metric of that name where this model can be judged by it."""
        known = self._evaluators.get(model)
        watched = None if known is None else known.plan.outcome_metric
        if watched is None or watched.name == name:
            return watched
        return Metric("accuracy") if name == "accuracy" else None

    def export_outcome(self) -> Mapping[str, object]:
        return self._export_outcome() if self._export_outcome is not None else {"target": None, "last": {}}
