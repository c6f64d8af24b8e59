"""From captured exchanges to numbered flushes, in one thread beside the server.

The order of the stages is here and nowhere else: hand-off, decode, aggregate, redact, flush. Work is done in steps of
about half a millisecond with a real sleep between them, because the server's own threads wait for the same interpreter.
A step either decodes some exchanges, or counts, redacts and keeps some of the rows that were decoded before: counting
many rows at once costs little more than counting few.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.aggregate.traffic import decoded_versions, without_bodies
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.interfaces import Clock, HubClient, Telling
from mlmon_sidecar.recorder.batches import Gathered, by_minutes, part, units
from mlmon_sidecar.recorder.counters import Counters
from mlmon_sidecar.recorder.figures import Totals
from mlmon_sidecar.recorder.flushing import Contents, Flushing
from mlmon_sidecar.recorder.minutes import Minutes
from mlmon_sidecar.recorder.pace import Pace
from mlmon_sidecar.recorder.telling import prediction_event
from mlmon_sidecar.recorder.versions import OTHER_VERSION, Versions
from mlmon_sidecar.recorder.waiting import FLUSH_BYTES, FLUSH_PANES, Waiting
from mlmon_sidecar.records import (
    MINUTE_NS,
    Distribution,
    DropReason,
    Exchange,
    KeptRow,
    Measurement,
    PredictionBatch,
    RedactedRows,
)
from mlmon_sidecar.redact.redactor import Redaction, Redactor
from mlmon_sidecar.redact.sampling import keep_rows
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.telemetry import Telemetry

logger = logging.getLogger("mlmon_sidecar")

BUSY_PAUSE_SECONDS = 0.001  # between two steps
CALM_PAUSE_SECONDS = 0.05  # nothing is waiting: gather some before the next step
RETRY_SECONDS = 0.05  # between attempts to hand over the last flush, while the hub changes hands
MAX_EXCHANGES = 64  # decoded, or counted as traffic, in one step
EXCHANGE_UNITS = 256  # what decoding an exchange costs beyond its bytes, in bytes
DECODE_FIXED = 2_500  # what a step of decoding costs before the first exchange, in the same unit
DECODE_LEAST = 4_000
DECODE_NS_PER_UNIT = 40.0  # to begin with; this and the next are measured from then on
COUNT_NS_PER_UNIT = 350.0
COUNT_FIXED = 500  # what a step of counting costs before the first row, in cells
COUNT_LEAST = 1_000  # 16 rows of 50 features
OBSERVE_UNITS = 20_000  # counted at once in the thread of who observes: its own time, but not the recorder's lock
NOTHING_KEPT = Redaction(RedactedRows(), 0)


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """What the recorder needs to know of one model."""

    decode: DecodeOptions
    layout: Layout
    redactor: Redactor
    store_features: frozenset[str] = frozenset()
    keep: float = 1.0  # share of rows kept, by hash of the prediction id


class Recorder:
    """One in every serving process. ``start`` after the server's start-up; never before a fork."""

    def __init__(
        self,
        models: Mapping[str, RecordedModel],
        handoff: Handoff,
        hub: HubClient,
        clock: Clock,
        telemetry: Telemetry,
        *,
        flush_interval_seconds: float = 1.0,
        faults: Faults | None = None,
        telling: Telling | None = None,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._models = models
        self._handoff = handoff
        self._hub = hub
        self._clock = clock
        self._telemetry = telemetry
        self._interval_ns = int(flush_interval_seconds * 1e9)
        self._telling = telling
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = threading.RLock()  # what follows, to the flushes: the recorder's thread, observe() and flush()
        self._builders = {name: PaneBuilder(model.layout, model.redactor.category) for name, model in models.items()}
        self._passed: list[tuple[Exchange, str | None]] = []  # not counted; the version of those that were decoded
        self._gathered = Gathered()  # rows, decoded and not counted
        self._waiting = Waiting({name: model.layout.size for name, model in models.items()}, telemetry)
        self._totals = Totals({name: model.layout for name, model in models.items()})
        self._counters = Counters(telemetry, handoff, faults or Faults())
        self._complete: Mapping[str, int] = dict.fromkeys(models, -1)
        self._versions = Versions(models)
        self._minutes = Minutes(models, clock, self._interval_ns)
        self._queued = False  # the hand-off held more than was taken
        self._decode_pace = Pace(DECODE_NS_PER_UNIT, fixed=DECODE_FIXED, least=DECODE_LEAST, cpu_ns=cpu_ns)
        self._count_pace = Pace(COUNT_NS_PER_UNIT, fixed=COUNT_FIXED, least=COUNT_LEAST, cpu_ns=cpu_ns)
        self._next_flush_ns = 0
        self._flushing = Flushing(
            models, hub, clock, telemetry,
            take=self._contents, took_none=self._forget_oldest_panes, lost=self._counters.untell,
        )  # fmt: skip

    @property
    def recorder_id(self) -> str:
        return self._flushing.recorder_id

    # ------------------------------------------------------------ life

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="mlmon-recorder", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                more = self._step()
                if self._clock.monotonic_ns() >= self._next_flush_ns:
                    self._next_flush_ns = self._clock.monotonic_ns() + self._interval_ns
                    self._rest()
                    self._flushing.deliver(rest=self._rest)
            except Exception as error:  # The recorder outlives any fault in its stages.
                self._telemetry.failed("recorder", error)
                more = False
            self._stopping.wait(BUSY_PAUSE_SECONDS if more else CALM_PAUSE_SECONDS)

    def _rest(self) -> None:
        self._stopping.wait(BUSY_PAUSE_SECONDS)

    def stop(self, deadline_seconds: float = 5.0) -> int:
        """Drain, flush once more, and return how many accepted exchanges were still queued at the deadline.

        A hub that does not answer costs what was recorded since the last flush, which the log says.
        """
        deadline_ns = self._clock.monotonic_ns() + int(deadline_seconds * 1e9)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(deadline_seconds)
        try:
            while self._clock.monotonic_ns() < deadline_ns and self._step():
                pass
        except Exception as error:  # What is recorded already is still handed over.
            self._telemetry.failed("recorder", error)
        left = self._handoff.stats().items_in_queue
        self._telemetry.dropped(left, DropReason.SHUTDOWN)
        self._minutes.taken(self._clock.monotonic_ns())  # what is left is dropped
        self._count_gathered()
        if not self._deliver_until(time.monotonic() + deadline_seconds / 2):
            logger.warning("mlmon: no hub answered at shutdown; what was recorded since the last flush is lost")
        self._hub.close()
        return left

    def _deliver_until(self, deadline: float) -> bool:
        """The last flush. The hub of another worker may be ending too: its successor takes the store in a moment."""
        while not self._flushing.deliver(closing=True, wait_seconds=max(0.0, deadline - time.monotonic())):
            if time.monotonic() >= deadline:
                return False
            time.sleep(RETRY_SECONDS)
        return True

    # ------------------------------------------------------------ stages

    def _step(self) -> bool:
        """One piece of work. False: nothing was found to do any more."""
        if len(self._passed) >= MAX_EXCHANGES or (self._passed and not self._queued):
            self._count_traffic()
        elif self._gathered.units >= self._count_pace.units or (self._gathered and not self._queued):
            self._count_rows()
        else:
            self._take_some()
            return self._queued or bool(self._passed or self._gathered)
        return True  # what came meanwhile is not known

    def _take_some(self) -> None:
        """Exchanges to decoded rows."""
        begun = self._clock.monotonic_ns()
        self._decode_pace.begin()
        exchanges, cost = self._drained()
        by_model: dict[str, list[Exchange]] = {}
        for exchange in exchanges:
            by_model.setdefault(exchange.model, []).append(exchange)
        with self._state:
            for name, group in by_model.items():
                self._decode(name, group)
            if not self._queued:
                self._minutes.taken(begun)
            self._settle()
        if exchanges:
            self._decode_pace.end(cost)

    def _drained(self) -> tuple[Sequence[Exchange], int]:
        """Exchanges for one step, and what they cost. ``_queued`` says afterwards whether there may be more."""
        limit, cost = self._decode_pace.units, 0
        taken: list[Exchange] = []
        self._queued = True
        while cost < limit and len(taken) < MAX_EXCHANGES:
            got = self._handoff.drain(1)
            if not got:
                self._queued = False
                break
            taken += got
            cost += EXCHANGE_UNITS + got[0].request_bytes + got[0].response_bytes
        return taken, cost

    def _decode(self, name: str, exchanges: Sequence[Exchange]) -> None:
        try:
            model = self._models[name]
            decoded = decode(exchanges, model.decode, self._clock.unix_at)
        except Exception as error:  # A fault of ours costs these exchanges' rows, never the server.
            self._telemetry.failed("decode", error)
            self._telemetry.dropped(len(exchanges), DropReason.INTERNAL_ERROR)
            return
        self._telemetry.add(names.DECODED, decoded.exchanges)
        for reason, amount in decoded.dropped.items():
            self._telemetry.dropped(amount, reason)
        for cap, amount in decoded.skipped.items():
            self._telemetry.add(names.SCHEMA_PREFIX + cap, amount)
        batches = [self._of_known_version(batch) for batch in decoded.batches]
        versions = decoded_versions(batches)
        self._passed += [(without_bodies(exchange), versions.get(exchange.prediction_id)) for exchange in exchanges]
        for batch in batches:
            self._gathered.add(batch)

    def _of_known_version(self, batch: PredictionBatch) -> PredictionBatch:
        if self._versions.known(batch.model, batch.version):
            return batch
        self._telemetry.add(names.SCHEMA_PREFIX + "version", batch.rows)
        return replace(batch, version=OTHER_VERSION)

    def _count_traffic(self) -> None:
        """Exchanges to panes, whatever became of them."""
        with self._state:
            passed, self._passed = self._passed, []
            by_model: dict[str, list[tuple[Exchange, str | None]]] = {}
            for item in passed:
                by_model.setdefault(item[0].model, []).append(item)
            for name, members in by_model.items():
                default = self._models[name].decode.constant_version
                try:
                    self._builders[name].add_exchanges(members, default, self._clock.unix_at)
                except Exception as error:  # The rows are still good.
                    self._telemetry.failed("aggregate", error)
            self._settle()

    def _count_rows(self) -> None:
        """Decoded rows to panes and kept rows."""
        with self._state:
            if not self._gathered:
                return  # a flush has counted them meanwhile
            self._count_pace.begin()
            batch = self._gathered.take(self._count_pace.units)
            self._add(batch)
            self._count_pace.end(units(batch))
            self._settle()

    def _count_gathered(self) -> None:
        self._count_traffic()
        while self._gathered:
            self._count_rows()

    def _settle(self) -> None:
        if not self._gathered and not self._passed:
            self._minutes.counted()

    def _add(self, batch: PredictionBatch) -> None:
        """Into panes and kept rows. A fault of ours costs these rows, and is counted as that."""
        self._telemetry.add(names.ROWS, batch.rows)
        try:
            self._builders[batch.model].add_batch(batch)
        except Exception as error:
            self._telemetry.failed("aggregate", error)
            self._telemetry.rows_dropped(batch.rows, DropReason.INTERNAL_ERROR)
            return
        try:
            kept = self._redacted(self._models[batch.model], batch)
        except Exception as error:
            self._telemetry.failed("redact", error)
            self._telemetry.rows_dropped(batch.rows, DropReason.REDACTION_FAILED)
            return
        self._waiting.keep(kept)
        self._tell(kept)

    def _redacted(self, model: RecordedModel, batch: PredictionBatch) -> Sequence[KeptRow]:
        keep = keep_rows(batch.prediction_ids, batch.exemplar, model.keep)
        kept, failed = model.redactor.redact_batch(batch, model.store_features, keep) if any(keep) else NOTHING_KEPT
        left_out = batch.rows - len(kept.rows) - failed
        self._telemetry.add(names.ROWS_SAMPLED_OUT if model.keep > 0 else names.ROWS_AGGREGATED_ONLY, left_out)
        self._telemetry.rows_dropped(failed, DropReason.REDACTION_FAILED)
        for entity, matches in kept.redactions.items():
            self._telemetry.add(names.REDACTIONS_PREFIX + entity, matches)
        return kept.rows

    def _tell(self, rows: Sequence[KeptRow]) -> None:
        if self._telling is None:
            return
        try:
            for row in rows:
                self._telling.event(prediction_event(row))
        except Exception as error:
            self._telemetry.failed("telling", error)

    # ------------------------------------------------------------ rows without requests

    def observe(self, batch: PredictionBatch) -> None:
        """Rows that came by no request. The caller's thread does the work, and waits for a flush when too many wait."""
        with self._state:
            self._telemetry.add(names.ACCEPTED)
            self._telemetry.add(names.DECODED)
        limit = self._waiting.pane_limit(batch.model)
        for minutes in by_minutes(batch, limit // 2):
            with self._state:
                known = self._of_known_version(minutes)
            step = max(1, OBSERVE_UNITS * known.rows // max(1, units(known)))
            for start in range(0, known.rows, step):
                with self._state:
                    self._add(part(known, slice(start, start + step)))
            with self._state:
                self._minutes.observed(batch.model, int(known.event_ns.max()) // MINUTE_NS if known.rows else -1)
                panes = len(self._builders[batch.model])
                many = self._waiting.row_bytes > FLUSH_BYTES or panes > min(FLUSH_PANES, limit // 4)
            if many:
                self._flushing.deliver()

    def expect_event_times(self, model: str) -> None:
        """``model`` will be fed by ``observe``: nobody seals its minutes by the wall clock."""
        with self._state:
            self._minutes.expect(model)

    # ------------------------------------------------------------ flushes

    def flush(self) -> bool:
        """Hand over everything recorded so far. False: no hub answered, it is kept for the next time."""
        self._count_gathered()
        return self._flushing.deliver()

    def _contents(self) -> Contents:
        """Of the next flush. Only the last of several says how far it is complete."""
        with self._state:
            self._collect_panes()
            panes, rows, more = self._waiting.take()
            if not more:
                self._complete = self._minutes.through()
            return Contents(panes, rows, self._counters.increments(), self._complete, more)

    def _collect_panes(self) -> None:
        for builder in self._builders.values():
            panes = builder.take()
            for pane in panes:
                self._totals.add(pane)
            self._waiting.add(panes)

    def _forget_oldest_panes(self) -> None:
        """No hub takes them."""
        with self._state:
            if self._waiting.panes + sum(map(len, self._builders.values())) > self._waiting.least_pane_limit:
                self._collect_panes()
                self._waiting.forget_oldest_panes()

    # ------------------------------------------------------------ figures

    def measurements(self) -> Sequence[Measurement | Distribution]:
        """What this process served and lost since it started."""
        stats = self._handoff.stats()
        full = (("mlmon.drop.kind", "exchange"), ("mlmon.drop.reason", DropReason.QUEUE_FULL.value))
        return [
            *self._totals.measurements(),
            Measurement("mlmon.self.queue.size", stats.bytes_in_queue),
            Measurement("mlmon.self.queue.limit", self._handoff.max_bytes),
            Measurement("mlmon.self.dropped", stats.dropped_full, full),
            Measurement("mlmon.self.flush.lag", self._flushing.lag_seconds),
        ]
