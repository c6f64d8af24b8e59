"""From captured exchanges to numbered flushes, in one thread beside the server.

The order of the stages is here and nowhere else: hand-off, decode, aggregate, redact, flush. Work is done in slices of
about half a millisecond with a real sleep between them, because the server's own threads wait for the same interpreter.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.aggregate.panes import PaneBuilder
from mlmon_sidecar.aggregate.traffic import decoded_versions
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import HubUnavailable, WireError
from mlmon_sidecar.interfaces import Clock, HubClient, Telling
from mlmon_sidecar.records import (
    MINUTE_NS,
    Distribution,
    DropReason,
    Event,
    Exchange,
    Flush,
    FlushStatus,
    KeptRow,
    Measurement,
    Pane,
    PredictionBatch,
    RedactedRows,
)
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.redact.sampling import keep_rows
from mlmon_sidecar.statistics.layout import DURATION_EDGES, Layout
from mlmon_sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

logger = logging.getLogger("mlmon_sidecar")

SLICE_NS = 500_000  # about what a server's request can wait for without anyone noticing
MIN_SLICE = 16  # exchanges; below it the fixed cost of a slice (about a millisecond) is paid too often
MAX_SLICE = 64
BUSY_PAUSE_SECONDS = 0.001
RETRY_SECONDS = 0.05  # between attempts to hand over the last flush, while the hub changes hands
CALM_PAUSE_SECONDS = 0.05  # nothing is waiting: gather some before the next slice
GRACE_INTERVALS = 1.2  # a minute is complete this many flush intervals after its end
MAX_WAITING_BYTES = 32 * 1024 * 1024  # of kept rows while no hub answers; beyond it new ones are counted and dropped
MAX_WAITING_PANES = 4_096  # while no hub answers; beyond it, or the next, the oldest are counted and dropped
MAX_WAITING_PANE_BYTES = 24 * 1024 * 1024
MAX_VERSIONS = 64  # of one model, while this process lives; a version may come from a request, and costs panes
OTHER_VERSION = "_other"
EVENT_IDLE_NS = 60_000_000_000  # who observed nothing for so long holds up nobody's minutes
FLUSH_BYTES = 4 * 1024 * 1024  # of rows in one flush
PANES_PER_FLUSH = 1_024
MAX_RENEWALS = 3  # fresh identities in one delivery: a hub that forgets each at once gets no fourth
ROW_BYTES = 320  # ids, times and figures of one kept row


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
    ) -> None:
        self._models = models
        self._handoff = handoff
        self._hub = hub
        self._clock = clock
        self._telemetry = telemetry
        self._interval_ns = int(flush_interval_seconds * 1e9)
        self._telling = telling
        self._faults = faults or Faults()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = threading.RLock()  # builders, rows, numbers: the recorder's thread and observe()
        self._sending = threading.Lock()  # one flush in doubt at a time
        self._builders = {name: PaneBuilder(model.layout, model.redactor.category) for name, model in models.items()}
        self._rows: list[KeptRow] = []
        self._waiting_bytes = 0
        self._complete: Mapping[str, int] = {}
        self._panes: list[Pane] = []
        self._event_through: dict[str, int] = {}
        self._observed_ns: dict[str, int] = {}  # model -> when rows were last observed, monotonic
        self._versions: dict[str, set[str]] = {name: set() for name in models}
        self._told: Mapping[str, int] = {}
        self._totals: dict[tuple[str, str], IntVector] = {}
        self._slice = MIN_SLICE
        self._next_flush_ns = 0
        self._renewals = 0
        self._drained_ns = clock.monotonic_ns()
        self._begin_identity()

    def _begin_identity(self) -> None:
        self.recorder_id = str(uuid.uuid4())
        self._seq = 0
        self._unsent: deque[Flush] = deque()  # frozen and numbered; the first may be in doubt, the others never left
        self._in_doubt_since_ns: int | None = None

    # ------------------------------------------------------------ life

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="mlmon-recorder", daemon=True)
        self._thread.start()

    def stop(self, deadline_seconds: float = 5.0) -> int:
        """Drain, flush once more, and return how many accepted exchanges were still queued at the deadline.

        A hub that does not answer costs what was recorded since the last flush, which the log says.
        """
        deadline_ns = self._clock.monotonic_ns() + int(deadline_seconds * 1e9)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(deadline_seconds)
        try:
            while self._clock.monotonic_ns() < deadline_ns and self._take_slice():
                pass
        except Exception as error:  # What is recorded already is still handed over.
            self._telemetry.failed("recorder", error)
        left = self._handoff.stats().items_in_queue
        self._telemetry.dropped(left, DropReason.SHUTDOWN)
        self._drained_ns = self._clock.monotonic_ns()
        if not self._deliver_until(time.monotonic() + deadline_seconds / 2):
            logger.warning("mlmon: no hub answered at shutdown; what was recorded since the last flush is lost")
        self._hub.close()
        return left

    def _deliver_until(self, deadline: float) -> bool:
        """The last flush. The hub of another worker may be ending too: its successor takes the store in a moment."""
        while not self._deliver(closing=True, wait_seconds=max(0.0, deadline - time.monotonic())):
            if time.monotonic() >= deadline:
                return False
            time.sleep(RETRY_SECONDS)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                more = self._take_slice()
                if self._clock.monotonic_ns() >= self._next_flush_ns:
                    self._next_flush_ns = self._clock.monotonic_ns() + self._interval_ns
                    self._deliver()
            except Exception as error:  # The recorder outlives any fault in its stages.
                self._telemetry.failed("recorder", error)
                more = False
            self._stopping.wait(BUSY_PAUSE_SECONDS if more else CALM_PAUSE_SECONDS)

    # ------------------------------------------------------------ stages

    def _take_slice(self) -> bool:
        """Move up to one slice of exchanges into panes and rows. True: it was full, and more may be waiting."""
        begun = self._clock.monotonic_ns()
        exchanges = self._handoff.drain(self._slice)
        full = len(exchanges) == self._slice
        by_model: dict[str, list[Exchange]] = {}
        for exchange in exchanges:
            by_model.setdefault(exchange.model, []).append(exchange)
        with self._state:
            for name, group in by_model.items():
                self._record(name, group)
            if not full:
                self._drained_ns = begun  # everything that ended before this reading is in the panes
        if not exchanges:
            return False
        spent = max(1, self._clock.monotonic_ns() - begun)
        self._slice = max(MIN_SLICE, min(MAX_SLICE, int(len(exchanges) * SLICE_NS / spent)))
        return full

    def _record(self, name: str, exchanges: Sequence[Exchange]) -> None:
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
        try:
            versions = decoded_versions(batches)
            self._builders[name].add_exchanges(exchanges, versions, model.decode.constant_version, self._clock.unix_at)
        except Exception as error:  # The rows are still good.
            self._telemetry.failed("aggregate", error)
        for batch in batches:
            self._add(name, batch)

    def _of_known_version(self, batch: PredictionBatch) -> PredictionBatch:
        known = self._versions[batch.model]
        if batch.version in known:
            return batch
        if len(known) < MAX_VERSIONS:
            known.add(batch.version)
            return batch
        self._telemetry.add(names.SCHEMA_PREFIX + "version", batch.rows)
        return replace(batch, version=OTHER_VERSION)

    def _add(self, name: str, batch: PredictionBatch) -> None:
        """Into panes and kept rows. A fault of ours costs these rows, and is counted as that."""
        self._telemetry.add(names.ROWS, batch.rows)
        try:
            self._builders[name].add_batch(batch)
        except Exception as error:
            self._telemetry.failed("aggregate", error)
            self._telemetry.rows_dropped(batch.rows, DropReason.INTERNAL_ERROR)
            return
        try:
            kept = self._redacted(self._models[name], batch)
        except Exception as error:
            self._telemetry.failed("redact", error)
            self._telemetry.rows_dropped(batch.rows, DropReason.REDACTION_FAILED)
            return
        self._keep(kept)
        self._tell(kept)

    def _redacted(self, model: RecordedModel, batch: PredictionBatch) -> Sequence[KeptRow]:
        keep = keep_rows(batch.prediction_ids, batch.exemplar, model.keep)
        kept, failed = model.redactor.redact_batch(batch, model.store_features, keep)
        self._telemetry.rows_dropped(failed, DropReason.REDACTION_FAILED)
        self._telemetry.add(names.ROWS_SAMPLED_OUT, batch.rows - len(kept.rows) - failed)
        for entity, matches in kept.redactions.items():
            self._telemetry.add(names.REDACTIONS_PREFIX + entity, matches)
        return kept.rows

    def _keep(self, rows: Sequence[KeptRow]) -> None:
        for index, row in enumerate(rows):
            if self._waiting_bytes >= MAX_WAITING_BYTES:
                self._telemetry.rows_dropped(len(rows) - index, DropReason.HUB_UNREACHABLE)
                break
            self._rows.append(row)
            self._waiting_bytes += _row_bytes(row)
            self._telemetry.add(names.ROWS_KEPT)

    def observe(self, batch: PredictionBatch) -> None:
        """Rows that came by no request. The caller's thread does the work, and waits for a flush when too many wait."""
        with self._state:
            self._telemetry.add(names.ACCEPTED)
            self._telemetry.add(names.DECODED)
        for part in _by_minutes(batch, self._pane_limit(batch.model) // 2):
            with self._state:
                self._add(batch.model, self._of_known_version(part))
                newest = int(part.event_ns.max()) // MINUTE_NS - 1 if part.rows else -1
                self._event_through[batch.model] = max(newest, self._event_through.get(batch.model, -1))
                self._observed_ns[batch.model] = self._clock.monotonic_ns()
                panes = len(self._builders[batch.model])
                many = self._waiting_bytes > FLUSH_BYTES or panes > min(
                    PANES_PER_FLUSH, self._pane_limit(batch.model) // 4
                )
            if many:
                self._deliver()

    def expect_event_times(self, model: str) -> None:
        """``model`` will be fed by ``observe``: nobody seals its minutes by the wall clock."""
        with self._state:
            self._event_through.setdefault(model, -1)
            self._observed_ns.setdefault(model, self._clock.monotonic_ns())  # from now on it may be too quiet

    def _tell(self, rows: Sequence[KeptRow]) -> None:
        if self._telling is None:
            return
        try:
            for row in rows:
                self._telling.event(prediction_event(row))
        except Exception as error:
            self._telemetry.failed("telling", error)

    # ------------------------------------------------------------ flushes

    def flush(self) -> bool:
        """Hand over everything recorded so far. False: no hub answered, it is kept for the next time."""
        return self._deliver()

    def _deliver(self, *, closing: bool = False, wait_seconds: float = -1) -> bool:
        """``wait_seconds``: for another thread that is sending; -1: as long as it takes."""
        if not self._sending.acquire(timeout=wait_seconds):
            return False
        try:
            self._renewals = 0
            if self._seq == 0:
                self._unsent.append(self._registration())
            self._send()
            more = True
            while more:
                flush, more = self._freeze(closing)
                self._unsent.append(flush)
                self._send()
        except HubUnavailable:
            self._forget_oldest_panes()
        except WireError as error:  # refused for what it is: to send it again would be vain
            self._telemetry.failed("flush", error)
            self._give_up()
        except Exception as error:  # An embedded hub may fail in any way: the flush stays as it is, for the next time.
            self._telemetry.failed("flush", error)
            self._forget_oldest_panes()
        else:
            return True
        finally:
            self._sending.release()
        return False

    def _registration(self) -> Flush:
        self._seq = 1
        self._complete = dict.fromkeys(self._models, -1)
        return self._frozen(panes=(), rows=(), counters={}, through=self._complete, closing=False)

    def _freeze(self, closing: bool) -> tuple[Flush, bool]:
        """The next flush, and whether another has to follow at once. Only the last says how far it is complete."""
        with self._state:
            self._collect_panes()
            cut = self._rows_of_one_flush()
            rows, self._rows = tuple(self._rows[:cut]), self._rows[cut:]
            self._waiting_bytes -= sum(map(_row_bytes, rows))
            panes, self._panes = tuple(self._panes[:PANES_PER_FLUSH]), self._panes[PANES_PER_FLUSH:]
            more = bool(self._rows or self._panes)
            if not more:
                self._complete = self._through()
            self._seq += 1
            flush = self._frozen(
                panes=panes,
                rows=rows,
                counters=self._increments(),
                through=self._complete,
                closing=closing and not more,
            )
            return flush, more

    def _give_up(self) -> None:
        """Rows and panes of the refused flush are lost and counted; its counters go with the next one."""
        refused = self._unsent.popleft()
        self._in_doubt_since_ns = None
        self._telemetry.rows_dropped(len(refused.rows.rows), DropReason.FLUSH_REFUSED)
        self._telemetry.add("panes.dropped." + DropReason.FLUSH_REFUSED, len(refused.panes))
        untold = refused.counters
        self._told = {name: told - untold.get(name, 0) for name, told in self._told.items()}

    def _rows_of_one_flush(self) -> int:
        size = 0
        for index, row in enumerate(self._rows):
            size += _row_bytes(row)
            if size > FLUSH_BYTES:
                return max(1, index)
        return len(self._rows)

    def _frozen(
        self,
        *,
        panes: tuple[Pane, ...],
        rows: tuple[KeptRow, ...],
        counters: Mapping[str, int],
        through: Mapping[str, int],
        closing: bool,
    ) -> Flush:
        return Flush(
            recorder_id=self.recorder_id,
            seq=self._seq,
            panes=panes,
            rows=RedactedRows(rows),
            counters=counters,
            complete_through=through,
            sent_ns=self._clock.unix_ns(),
            closing=closing,
            origin=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _send(self) -> None:
        """Until it is answered a flush is in doubt: it stays as it is, under its number."""
        while self._unsent:
            if self._in_doubt_since_ns is None:
                self._in_doubt_since_ns = self._clock.monotonic_ns()
            receipt = self._hub.flush(self._unsent[0])
            self._in_doubt_since_ns = None
            if receipt.status is FlushStatus.UNKNOWN_RECORDER:
                self._register_again()
            else:
                self._unsent.popleft()

    def _register_again(self) -> None:
        """The hub has forgotten this recorder: what it could not take follows a registration under a fresh identity."""
        refused = list(self._unsent)
        self._begin_identity()
        self._unsent.append(self._registration())
        for flush in refused:
            self._seq += 1
            self._unsent.append(replace(flush, recorder_id=self.recorder_id, seq=self._seq))
        self._renewals += 1
        if self._renewals >= MAX_RENEWALS:
            raise HubUnavailable("the hub forgets whom it registered", code="recorder_unknown")

    def _collect_panes(self) -> None:
        for builder in self._builders.values():
            for pane in builder.take():
                self._count_total(pane)
                self._panes.append(pane)

    def _forget_oldest_panes(self) -> None:
        """No hub takes them. Half of the bound goes at once: taken out, the panes of a minute no longer add up."""
        with self._state:
            limit = min(map(self._pane_limit, self._models), default=0)
            if len(self._panes) + sum(map(len, self._builders.values())) <= limit:
                return
            self._collect_panes()
            self._panes.sort(key=lambda pane: pane.key.minute)
            surplus = len(self._panes) - limit // 2
            self._telemetry.add("panes.dropped." + DropReason.HUB_UNREACHABLE, surplus)
            del self._panes[:surplus]

    def _pane_limit(self, model: str) -> int:
        """Panes that may wait where all were as large as this model's."""
        return max(2, min(MAX_WAITING_PANES, MAX_WAITING_PANE_BYTES // (8 * self._models[model].layout.size)))

    def _increments(self) -> dict[str, int]:
        stats = self._handoff.stats()
        now = dict(self._telemetry.snapshot())
        now[names.ACCEPTED] = now.get(names.ACCEPTED, 0) + stats.accepted
        full = names.DROPPED_PREFIX + DropReason.QUEUE_FULL
        now[full] = now.get(full, 0) + stats.dropped_full
        lost = self._faults.lost  # selected, and by a fault of ours never offered to the hand-off
        now[names.ACCEPTED] += lost
        broken = names.DROPPED_PREFIX + DropReason.INTERNAL_ERROR
        now[broken] = now.get(broken, 0) + lost
        now[names.IGNORED] = stats.ignored
        now[names.TRIPPED] = self._faults.trips
        if now[names.TRIPPED] > self._told.get(names.TRIPPED, 0):
            self._telemetry.warn("capture", "too many internal faults: capture is off for a while, then tries again")
        for (component, error), count in self._faults.snapshot().items():
            now[f"{names.ERRORS_PREFIX}{component}.{error}"] = count
        before, self._told = self._told, now
        return {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}

    def _through(self) -> dict[str, int]:
        """Minutes nobody has to wait for any more: their end lies ``GRACE_INTERVALS`` behind, in this clock."""
        grace_ns = int(GRACE_INTERVALS * self._interval_ns)
        settled = self._clock.unix_at(self._drained_ns - grace_ns) // MINUTE_NS - 1
        awake = self._clock.monotonic_ns() - EVENT_IDLE_NS
        idle = {name for name in self._event_through if self._observed_ns[name] <= awake}
        return {name: self._event_through.get(name, settled) for name in self._models if name not in idle}

    # ------------------------------------------------------------ figures

    def _count_total(self, pane: Pane) -> None:
        size = self._models[pane.key.model].layout.traffic.decoded + 1
        key = (pane.key.model, pane.key.version)
        known = self._totals.get(key)
        self._totals[key] = pane.vector[:size].copy() if known is None else known + pane.vector[:size]

    def _lag_seconds(self) -> float:
        """Age of the flush in doubt, in the machine's time; 0 where none is."""
        since = self._in_doubt_since_ns
        return 0.0 if since is None else (self._clock.monotonic_ns() - since) / 1e9

    def measurements(self) -> Sequence[Measurement | Distribution]:
        """What this process served and lost since it started."""
        figures: list[Measurement | Distribution] = []
        with self._state:
            totals = {key: np.copy(vector) for key, vector in self._totals.items()}
        for (model, version), vector in totals.items():
            cells = self._models[model].layout.traffic
            who = (("mlmon.model.name", model), ("mlmon.model.version", version))
            figures.append(Measurement("mlmon.predictions", int(vector[cells.rows]), who))
            for name, bins, total in (
                ("mlmon.prediction.duration", cells.duration, cells.duration_us),
                ("mlmon.prediction.time_to_first_byte", cells.first_byte, cells.first_byte_us),
            ):
                counts = tuple(int(count) for count in vector[bins])
                figures.append(Distribution(name, DURATION_EDGES, counts, int(vector[total]) / 1e6, who))
        stats = self._handoff.stats()
        figures.append(Measurement("mlmon.self.queue.size", stats.bytes_in_queue))
        figures.append(Measurement("mlmon.self.queue.limit", self._handoff.max_bytes))
        full = (("mlmon.drop.kind", "exchange"), ("mlmon.drop.reason", DropReason.QUEUE_FULL.value))
        figures.append(Measurement("mlmon.self.dropped", stats.dropped_full, full))
        figures.append(Measurement("mlmon.self.flush.lag", self._lag_seconds()))
        return figures


def _by_minutes(batch: PredictionBatch, minutes: int) -> Iterator[PredictionBatch]:
    """The batch itself, or parts of it in the order of time, of so many distinct minutes each: a year of rows at once
    must not become half a million panes at once."""
    distinct, of_row = np.unique(batch.event_ns // MINUTE_NS, return_inverse=True)
    if len(distinct) <= minutes:
        yield batch
        return
    part = of_row.reshape(-1) // minutes
    for number in range(int(part.max()) + 1):
        rows = np.flatnonzero(part == number)
        pick = rows.tolist()
        yield replace(
            batch,
            event_ns=batch.event_ns[rows],
            weight=batch.weight[rows],
            prediction_ids=[batch.prediction_ids[at] for at in pick],
            aliases=[batch.aliases[at] for at in pick],
            features={name: [column[at] for at in pick] for name, column in batch.features.items()},
            score=batch.score[rows],
            predicted=[batch.predicted[at] for at in pick],
            confidence=batch.confidence[rows],
            segments=[batch.segments[at] for at in pick],
            traces=[batch.traces[at] for at in pick],
            exemplar=[batch.exemplar[at] for at in pick],
        )


def _row_bytes(row: KeptRow) -> int:
    return ROW_BYTES + len(row.features)


def prediction_event(row: KeptRow) -> Event:
    """One kept row as a log record: no payload beyond what the store keeps."""
    attributes: list[tuple[str, str | int | float | bool]] = [
        ("mlmon.prediction.id", row.prediction_id),
        ("mlmon.model.name", row.model),
        ("mlmon.model.version", row.version),
    ]
    for name, value in (
        ("mlmon.prediction.score", row.score),
        ("mlmon.class", row.predicted),
        ("mlmon.prediction.confidence", row.confidence),
    ):
        if value is not None:
            attributes.append((name, value))
    said = row.predicted if row.predicted is not None else row.score
    return Event(
        name="mlmon.prediction",
        body=f"{row.model} {row.version} predicted {said}",
        at_ns=row.event_ns,
        attributes=tuple(attributes),
        trace_id=int(row.trace_id or "0", 16),
        span_id=int(row.span_id or "0", 16),
    )
