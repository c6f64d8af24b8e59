"""The hub: takes flushes once, seals minutes, joins labels, answers the page. One per store.

``flush``, ``labels`` and ``query`` may be called from any thread; ``tick`` from one. Intake touches the store alone, so
it never waits for an evaluation; evaluations and views share one lock.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.errors import StoreError, WireError
from mlmon_sidecar.hub import events, status
from mlmon_sidecar.hub.baselines import Baselines, baseline_id
from mlmon_sidecar.hub.evaluator import ModelEvaluator
from mlmon_sidecar.hub.figures import model_figures
from mlmon_sidecar.hub.label_privacy import LabelPrivacy, default_privacy
from mlmon_sidecar.hub.learning import Build, Learning
from mlmon_sidecar.hub.plan import ModelPlan
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
    DropReason,
    Erased,
    Event,
    Flush,
    FlushReceipt,
    HeldBaseline,
    Label,
    LabelledCompletion,
    LabelReceipt,
    Measurement,
    Pane,
)
from mlmon_sidecar.store import Store
from mlmon_sidecar.store.contract import RecorderRow, StoredPane
from mlmon_sidecar.store.label_rules import LabelRule
from mlmon_sidecar.telemetry import Telemetry

logger = logging.getLogger("mlmon_sidecar")

SEAL_MINUTES = 64  # minutes with data in one sealing transaction
AHEAD_MINUTES = 2  # clocks of one fleet may differ by so much; a pane dated later is not taken
MIN_SILENCE_NS = 10_000_000_000
SILENT_INTERVALS = 3
LABELS_PER_JOIN = 2_000
NO_MODEL = "_unknown"
RECORDER_KEPT_NS = 7 * 86_400 * 1_000_000_000  # longer than any flush stays in doubt
FORGET_EVERY_NS = 3_600 * 1_000_000_000
LAYOUTS_KNOWN = 1_024  # sizes remembered of layouts that recorders brought


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
        self._telling = telling
        self._export_outcome = export_outcome
        self._privacy = privacy or default_privacy()
        self._lock = threading.RLock()
        self._silence_ns = max(MIN_SILENCE_NS, int(SILENT_INTERVALS * self.options.flush_interval_seconds * 1e9))
        store.take_over()
        self.baselines = Baselines(store, plans, clock, self._privacy.policy)
        self._sizes: dict[str, int] = {}
        self._evaluators: dict[str, ModelEvaluator] = {}
        self._rules: dict[str, LabelRule] = {}
        self._compared: dict[str, str] = {}  # model to the id of the baseline it is compared with
        for plan in self.baselines.plans_at(clock.unix_ns() // MINUTE_NS):
            self._watch(plan)
        for plan in plans:
            if plan.trusted_sources:
                store.release_labels(plan.name, plan.trusted_sources)
        self._ahead: set[str] = set()  # models whose evaluator may be ahead of the store
        now = clock.monotonic_ns()
        self._seen = self._heard_before(now)
        self._since = self._listened = clock.unix_ns() // MINUTE_NS  # the minute it began in
        self._outbox_told = 0
        self._transitions: dict[tuple[tuple[str, str], ...], int] = {}
        self.troubles = Troubles(clock)
        self._retention = Retention(store, clock)
        self._next_forget_ns = now
        self.learning = None if build_baseline is None else Learning(store, clock, self.baseline, build_baseline)
        self.companions: list[Companion] = []
        self.pulls: dict[str, PullView] = {}  # by model
        self._board = StatusBoard(lambda: status.status(self), self._lock, clock)

    def _heard_before(self, now: int) -> dict[str, int]:
        """Recorder to when it was heard, as if the former hub had ended now. So one that was silent for long before
        that is not waited for again, and one that could not reach anybody is."""
        rows = [row for row in self.store.recorders() if not row.closed]
        newest = max((row.seen_ns for row in rows), default=0)
        return {row.recorder_id: now - int((newest - row.seen_ns) / self.options.clock_scale) for row in rows}

    # ------------------------------------------------------------ HubClient

    def flush(self, flush: Flush) -> FlushReceipt:
        for pane in flush.panes:
            self._check_size(pane)
        self._seen[flush.recorder_id] = self.clock.monotonic_ns()  # first: a tick between the two would not wait for it
        now_ns = self.clock.unix_ns()
        return self.store.commit_flush(self._without_future(flush, now_ns), now_ns)

    def _check_size(self, pane: Pane) -> None:
        known = self._sizes.get(pane.key.layout)
        if known is None:
            if len(self._sizes) < LAYOUTS_KNOWN:
                self._sizes[pane.key.layout] = len(pane.vector)
        elif len(pane.vector) != known:
            raise WireError(
                "a pane does not have the size of its layout", code="pane_size", hint="Run one version of mlmon."
            )

    def _without_future(self, flush: Flush, now_ns: int) -> Flush:
        """One pane of the year 2100 would set the watermark there, and every other pane would be late for ever."""
        last = now_ns // MINUTE_NS + AHEAD_MINUTES
        panes = tuple(pane for pane in flush.panes if pane.key.minute <= last)
        rows = tuple(row for row in flush.rows.rows if row.event_ns // MINUTE_NS <= last)
        lost = {
            names.PANES_DROPPED_PREFIX: len(flush.panes) - len(panes),
            names.ROWS_DROPPED_PREFIX: len(flush.rows.rows) - len(rows),
        }
        if not any(lost.values()):
            return flush
        self.telemetry.warn(
            "clock_skew", f"{flush.origin} sends predictions dated ahead of this hub's clock; they are not taken"
        )
        counted = {prefix + DropReason.CLOCK_SKEW: count for prefix, count in lost.items() if count}
        counters = {**flush.counters, **{name: flush.counters.get(name, 0) + n for name, n in counted.items()}}
        return replace(flush, panes=panes, rows=replace(flush.rows, rows=rows), counters=counters)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._take_labels(labels, key, None)

    def pulled(self, labels: Sequence[Label], place: tuple[str, str]) -> Sequence[LabelReceipt]:
        """As ``labels``; with them it is kept where the next pull goes on (``Store.place``)."""
        return self._take_labels(labels, "", place)

    def _take_labels(self, labels: Sequence[Label], key: str, place: tuple[str, str] | None) -> Sequence[LabelReceipt]:
        cleaned = self._privacy.clean(labels)
        fit = [item for item in cleaned if isinstance(item, Label)]
        taken = self.store.commit_labels(fit, self.clock.unix_ns(), self._rules, key, place) if fit or place else ()
        committed = iter(taken)
        receipts = [next(committed) if isinstance(item, Label) else item for item in cleaned]
        # Back to the caller goes the id as it came.
        return [receipt._replace(id=label.id) for receipt, label in zip(receipts, labels, strict=True)]

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self.store.erase(ids, self._privacy.names(aliases))

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        with self._lock:
            held = self.baselines.order(order)
        self._tell([events.baseline_event(held, self.clock.unix_ns())])
        return held

    def _tell(self, told: Iterable[Event]) -> None:
        if self._telling is None:
            return
        try:
            for event in told:
                self._telling.event(event)
        except Exception as error:  # What is told of is done all the same.
            self.telemetry.failed("telling", error)

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
        self.store.join_labels(LABELS_PER_JOIN, self._tell_evaluations)
        self._hear_silence()
        newest = self.store.open_models()  # before the recorders: whoever sent these panes is among them
        recorders = self._live_recorders()
        sealed = 0
        for model, last in newest.items():
            if self.troubles.waits(model):
                continue
            try:
                sealed += self._seal_model(model, min(last, self._complete_through(model, recorders, last)), until_ns)
                self._page_early(model)
            except StoreError:
                raise
            except Exception as error:  # One model's fault is not the others'.
                self.telemetry.failed("evaluation", error)
                self.troubles.failed(model, error)
            else:
                self.troubles.well(model)
        self._page_silence(newest)
        self._deliver_outbox()
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

    def _tell_evaluations(self, completions: Sequence[LabelledCompletion]) -> None:
        self._tell(event for labelled in completions for event in events.label_events(labelled))

    def _tidy(self) -> None:
        with self._lock:
            kept = {name: (each.watermark, each.plan.horizon_days) for name, each in self._evaluators.items()}
        self._retention.step(kept)
        self._forget_recorders()

    def _forget_recorders(self) -> None:
        """Every process start leaves one behind. A flush of one that comes back is refused, and it registers again."""
        now = self.clock.monotonic_ns()
        if now < self._next_forget_ns:
            return
        self._next_forget_ns = now + FORGET_EVERY_NS
        self.store.forget_recorders(self.clock.unix_ns() - RECORDER_KEPT_NS)
        known = {row.recorder_id for row in self.store.recorders()}
        for recorder_id in list(self._seen):  # other threads add to it
            if recorder_id not in known and now - self._seen[recorder_id] > FORGET_EVERY_NS:
                del self._seen[recorder_id]

    def _live_recorders(self) -> list[RecorderRow]:
        horizon = self.clock.monotonic_ns() - self._silence_ns
        return [r for r in self.store.recorders() if not r.closed and self._seen.get(r.recorder_id, 0) > horizon]

    def _complete_through(self, model: str, recorders: Sequence[RecorderRow], last: int) -> int:
        """The newest minute that no live recorder may still add to."""
        return min((r.complete_through[model] for r in recorders if model in r.complete_through), default=last)

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
        self._sizes[plan.layout.hash] = plan.layout.size
        self._evaluators[plan.name] = ModelEvaluator(plan, self.store)
        self._compared[plan.name] = baseline_id(plan.baseline)
        self._rules[plan.name] = plan.label_rule

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

    def _deliver_outbox(self) -> None:
        """At least once: told, then marked."""
        waiting = self.store.outbox(self._outbox_told)
        if not waiting:
            return
        known = {incident.key: incident for incident in self.store.incidents_of({item[1] for item in waiting})}
        for _, key, transition, minute in waiting:
            incident = known.get(key)
            if incident is None:
                continue
            moved = events.transition_attributes(incident, transition)
            self._transitions[moved] = self._transitions.get(moved, 0) + 1
            logger.log(events.log_level(incident, transition), "%s", events.sentence(incident, transition))
            if self._telling is not None:
                self._telling.event(events.alert_event(incident, transition, minute))
        self._outbox_told = waiting[-1][0]
        self.store.mark_delivered([item[0] for item in waiting])

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
            figures += [
                Measurement("mlmon.alert.transitions", count, attributes)
                for attributes, count in self._transitions.items()
            ]
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

    def seen_ms_ago(self, recorder_id: str) -> int:
        return (self.clock.monotonic_ns() - self._seen.get(recorder_id, self.clock.monotonic_ns())) // 1_000_000


class HubThread:
    """Ticks a hub until it is stopped or fenced."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlmon-hub", daemon=True)
        self.fenced = False

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """One last tick after the thread has ended, so that what was flushed is sealed if it is complete."""
        until_ns = self._hub.clock.monotonic_ns() + int(deadline_seconds * 1e9)
        self._stopping.set()
        self._thread.join(deadline_seconds)
        if not self._thread.is_alive() and not self.fenced:
            self._tick(until_ns)

    def _run(self) -> None:
        pause = self._hub.options.flush_interval_seconds / 2
        while not self._stopping.wait(pause) and not self.fenced:
            self.turn()

    def turn(self) -> None:
        """One tick, unless the last one failed a moment ago."""
        if not self._hub.troubles.waits(""):
            self._tick()

    def _tick(self, until_ns: int | None = None) -> None:
        hub = self._hub
        try:
            hub.tick(until_ns)
        except Exception as error:  # The hub outlives any fault of one tick; what was not committed is read again.
            self.fenced = isinstance(error, StoreError) and error.code == "fenced"
            hub.telemetry.failed("hub", error)
            hub.troubles.failed("", error)
        else:
            hub.troubles.well("")
