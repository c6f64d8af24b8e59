"""The stages in their order: hand-off, decode, aggregate, redact, and rows that wait for a flush.

A step reads some exchanges, or makes columns of those that were read, or counts, redacts and keeps some of the rows:
counting many rows at once costs little more than counting few. How much is in a step is measured (``Pace``).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.aggregate.panes import VERSION, PaneBuilder
from mlmon_sidecar.aggregate.traffic import decoded_versions, without_large_bodies
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.interfaces import Clock, Telling
from mlmon_sidecar.pieces import finished
from mlmon_sidecar.recorder.batches import Gathered, join, part
from mlmon_sidecar.recorder.decoding import Decoding, Group
from mlmon_sidecar.recorder.durations import Durations
from mlmon_sidecar.recorder.generations import GenerationBook
from mlmon_sidecar.recorder.minutes import Minutes
from mlmon_sidecar.recorder.pace import Pace, advance
from mlmon_sidecar.recorder.sizes import BatchSizes
from mlmon_sidecar.recorder.telling import prediction_event
from mlmon_sidecar.recorder.versions import OTHER_VERSION, Versions
from mlmon_sidecar.recorder.violations import Violations
from mlmon_sidecar.recorder.waiting import Waiting
from mlmon_sidecar.records import DropReason, Exchange, KeptRows, Pane, PredictionBatch, RedactedRows
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.redact.rows import Redaction
from mlmon_sidecar.redact.sampling import keep_rows
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.schema import ExpectedSchema
from mlmon_sidecar.telemetry import Telemetry

MAX_TRAFFIC = 128  # exchanges counted as traffic in one step
COUNT_UNITS = 9_200  # counted in one go, in several steps: 158 rows of 50 features, 511 of 10
KEEP_NS_PER_ROW = 5_000.0  # to begin with; measured from then on
KEEP_FIXED = 10  # what a step of keeping costs before the first row, in rows
KEEP_LEAST = 64
Passed = dict[str | None, list[Exchange]]
"""Exchanges by the version they were decoded under; None: under none."""
NOTHING_KEPT = Redaction(RedactedRows(), 0)


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """What the recorder needs to know of one model."""

    decode: DecodeOptions
    layout: Layout
    redactor: Redactor
    store_features: frozenset[str] = frozenset()
    keep: float = 1.0  # share of rows kept, by hash of the prediction id
    shadow: frozenset[str] = frozenset()  # versions of which no row is kept: a label means the answer that was given
    schema: ExpectedSchema = field(default_factory=ExpectedSchema)  # empty: the first rows teach it


class Stages:
    """Exchanges to panes and kept rows. A step takes the recorder's lock, and gives it back."""

    def __init__(
        self,
        models: Mapping[str, RecordedModel],
        handoff: Handoff,
        clock: Clock,
        telemetry: Telemetry,
        waiting: Waiting,
        minutes: Minutes,
        *,
        lock: threading.RLock,
        generations: GenerationBook,
        violations: Violations,
        sizes: BatchSizes,
        durations: Durations,
        telling: Telling | None = None,
        tracing: Callable[[Exchange], Exchange] | None = None,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._models, self._clock, self._telemetry = dict(models), clock, telemetry
        self._waiting, self._minutes, self._state, self._telling = waiting, minutes, lock, telling
        self._builders = {name: PaneBuilder(model.layout, model.redactor.category) for name, model in models.items()}
        self._versions = Versions(models)
        self._violations = violations
        self._generations = generations
        self._sizes = sizes
        self._durations = durations
        self._passed: dict[str, Passed] = {}  # by model, not counted as traffic
        self._passed_exchanges = 0
        self._in_columns: Iterator[None] | None = None  # exchanges that are on their way to columns
        self._groups: deque[Group] = deque()  # columns, not looked at
        self._gathered = Gathered()  # rows, decoded and not counted
        self._decoding = Decoding(
            lambda name: self._models[name].decode, handoff, clock, telemetry, tracing, cpu_ns=cpu_ns
        )
        self._counting: Iterator[None] | None = None  # rows that are on their way into panes
        self._counted: PredictionBatch | None = None  # rows in panes, not all redacted and kept yet
        self._kept = 0  # of these
        self._cpu_ns = cpu_ns
        self._keep_pace = Pace(KEEP_NS_PER_ROW, fixed=KEEP_FIXED, least=KEEP_LEAST, cpu_ns=cpu_ns)

    def panes(self, model: str | None = None) -> int:
        """Of one model or of all, not taken yet."""
        return sum(len(builder) for name, builder in self._builders.items() if model in (None, name))

    def take_panes(self) -> list[Pane]:
        with self._state:
            return [pane for builder in self._builders.values() for pane in builder.take()]

    def replace(self, name: str, model: RecordedModel) -> None:
        """The lock is held, and everything of the former model was counted and taken."""
        self._models[name] = model
        self._builders[name] = PaneBuilder(model.layout, model.redactor.category)

    def step(self) -> bool:
        """One piece of work. False: what was there when the hand-off was last looked at is read, and what is left of it
        waits for more, until the next flush.

        A step costs much before its first row, so that who takes rows as they come does several times the work of who
        lets some gather.
        """
        (self._due() or self._read_some)()
        return self._decoding.queued or self._due() is not None

    def _due(self) -> Callable[[], None] | None:
        """What there is enough of for a step."""
        if self._counted is not None:
            return self._keep_some
        if self._counting is not None:
            return self._count_rows
        if self._groups:
            return self._take_in
        if self._in_columns is not None or self._decoding.is_full:
            return self._to_columns
        if self._passed_exchanges >= MAX_TRAFFIC:
            return self._count_traffic
        return self._count_rows if self._gathered.units >= COUNT_UNITS else None

    @property
    def _holds_something(self) -> bool:
        """Whether anything was taken from the hand-off that is not in the panes, or in rows to keep."""
        in_hand = self._in_columns is not None or self._counting is not None or self._counted is not None
        return bool(in_hand or self._decoding or self._groups or self._passed or self._gathered)

    def _read_some(self) -> None:
        begun = self._clock.monotonic_ns()
        exchanges, size = self._decoding.drain()
        with self._state:
            self._decoding.read(exchanges, size)
            if not self._decoding.queued:
                self._minutes.taken(begun)
            self._settle()

    def _to_columns(self) -> None:
        """Exchanges that were read to rows that wait to be counted, as far as one step goes."""
        with self._state:
            if self._in_columns is None:
                self._in_columns = self._read_to_columns()
            advance(self._in_columns, self._cpu_ns)
            self._settle()

    def _read_to_columns(self) -> Iterator[None]:
        try:
            for group in self._decoding.columns():
                if group is not None:
                    self._groups.append(group)
                yield
        finally:  # whatever happened: work that is over is not waited for
            self._in_columns = None

    def _take_in(self) -> None:
        """Rows of one model to those that wait to be counted, and its exchanges to those that wait to be."""
        with self._state:
            if self._groups:  # or a flush took them in meanwhile
                self._account(self._groups.popleft())
            self._settle()

    def _account(self, group: Group) -> None:
        name, decoded = group.model, group.decoded
        self._telemetry.add(names.DECODED, decoded.exchanges)
        for reason, amount in decoded.dropped.items():
            self._telemetry.dropped(amount, reason)
        for cap, amount in decoded.skipped.items():
            self._telemetry.add(names.SCHEMA_PREFIX + cap, amount)
        self._tell_widths(name, decoded.wrong_width)
        public = self._models[name].redactor.category  # a version may come from a request, and is told from here on
        generated = [one._replace(version=public(VERSION, one.version)) for one in decoded.generations]
        self._generations.add(name, generated, self._versions)
        batches = [self.of_known_version(batch) for batch in decoded.batches]
        self._sizes.add(batches)
        self._pass_on(group, batches)
        for batch in batches:
            self.check(batch)
            self._gathered.add(batch)

    def _pass_on(self, group: Group, batches: Sequence[PredictionBatch]) -> None:
        """The exchanges to those that wait to be counted as traffic."""
        passed = self._passed.setdefault(group.model, {})
        self._passed_exchanges += len(group.exchanges)
        exchanges = without_large_bodies(group.exchanges)
        if len({batch.version for batch in batches}) == 1 and group.decoded.exchanges == len(exchanges):
            passed.setdefault(batches[0].version, []).extend(exchanges)
            return
        versions = decoded_versions(batches)
        for one in exchanges:
            passed.setdefault(versions.get(one.prediction_id), []).append(one)

    def _tell_widths(self, model: str, wrong: Mapping[str, int]) -> None:
        for version, rows in wrong.items():
            known = version if self._versions.known(model, version) else OTHER_VERSION
            try:
                self._violations.width(model, known, rows)
            except Exception as error:  # The rows are still good.
                self._telemetry.failed("schema", error)

    def check(self, batch: PredictionBatch) -> None:
        """Hold the rows against the form that is expected of them. The lock is held."""
        try:
            self._violations.look(batch, self._models[batch.model].redactor.redact_text)
        except Exception as error:  # The rows are still good.
            self._telemetry.failed("schema", error)

    def of_known_version(self, batch: PredictionBatch) -> PredictionBatch:
        """The batch under its version as it may be told, or ``OTHER_VERSION`` where there are too many. The lock is
        held."""
        public = self._models[batch.model].redactor.category(VERSION, batch.version)
        if public != batch.version:
            batch = replace(batch, version=public)
        if self._versions.known(batch.model, batch.version):
            return batch
        self._telemetry.add(names.SCHEMA_PREFIX + "version", batch.rows)
        return replace(batch, version=OTHER_VERSION)

    def _count_traffic(self) -> None:
        """Exchanges to panes, whatever became of them."""
        with self._state:
            passed, self._passed, self._passed_exchanges = self._passed, {}, 0
            for name, members in passed.items():
                default = self._models[name].decode.constant_version
                try:
                    self._builders[name].add_exchanges(members, default, self._clock.unix_at)
                    self._time(name, members, default)
                except Exception as error:  # The rows are still good.
                    self._telemetry.failed("aggregate", error)
            self._settle()

    def _time(self, name: str, members: Passed, default: str) -> None:
        for version, exchanges in members.items():
            told = self._models[name].redactor.category(VERSION, default) if version is None else version
            self._durations.add(told, exchanges)

    def _count_rows(self) -> None:
        """Decoded rows to panes, as far as one step goes."""
        with self._state:
            if self._counting is None:
                if self._counted is not None or not self._gathered:
                    return  # a flush counts at the same time
                self._counting = self._count_taken(self._gathered.take(COUNT_UNITS))
            advance(self._counting, self._cpu_ns)
            self._settle()

    def _count_taken(self, taken: Sequence[PredictionBatch]) -> Iterator[None]:
        try:
            self._counted = yield from self._count(taken)
        finally:
            self._counting = None

    def _keep_some(self) -> None:
        """Counted rows to kept rows."""
        with self._state:
            batch = self._counted
            if batch is None:
                return  # a flush has kept them meanwhile
            self._keep_pace.begin()
            left = batch.rows - self._kept
            rows = min(left, self._keep_pace.units)
            rows = -(-left // -(-left // rows))  # evenly, that the last part is not of a row or two
            some = batch if rows == batch.rows else part(batch, slice(self._kept, self._kept + rows))
            self._kept += rows
            if rows == left:
                self._counted, self._kept = None, 0
            self._keep(some)
            self._keep_pace.end(rows)
            self._settle()

    def count_gathered(self, rest: Callable[[], None] | None = None) -> None:
        """What was read, to the last row. ``rest`` is called between two steps."""
        while self._one_more():
            if rest is not None:
                rest()

    def _one_more(self) -> bool:
        """A step of anything but reading; False where all is done. What another thread is at is done when it is."""
        with self._state:
            if self._counted is not None:
                self._keep_some()
            elif self._counting is not None:
                self._count_rows()
            elif self._groups:
                self._take_in()
            elif self._in_columns is not None or self._decoding:
                self._to_columns()
            elif self._passed:
                self._count_traffic()
            elif self._gathered:
                self._count_rows()
            else:
                return False
            return True

    def _settle(self) -> None:
        if not self._holds_something:
            self._minutes.counted()

    def add(self, batches: Sequence[PredictionBatch]) -> None:
        """Batches of one kind into panes and kept rows. A fault of ours costs these rows, and is counted as that.

        The lock is held, and their version went through ``of_known_version``.
        """
        batch = finished(self._count(batches))
        if batch is not None:
            self._keep(batch)

    def _count(self, batches: Sequence[PredictionBatch]) -> Generator[None, None, PredictionBatch | None]:
        """Into panes, in pieces; all the rows in one, where that went well."""
        rows = sum(batch.rows for batch in batches)
        self._telemetry.add(names.ROWS, rows)
        try:
            batch = join(batches)
            yield
            yield from self._builders[batch.model].adding(batch)
        except Exception as error:
            self._telemetry.failed("aggregate", error)
            self._telemetry.rows_dropped(rows, DropReason.INTERNAL_ERROR)
            return None
        return batch

    def _keep(self, batch: PredictionBatch) -> None:
        try:
            kept = self._redacted(self._models[batch.model], batch)
        except Exception as error:
            self._telemetry.failed("redact", error)
            self._telemetry.rows_dropped(batch.rows, DropReason.REDACTION_FAILED)
            return
        self._waiting.keep(kept)
        self._tell(kept)

    def _redacted(self, model: RecordedModel, batch: PredictionBatch) -> KeptRows:
        counted_only = batch.version in model.shadow
        keep = [] if counted_only else keep_rows(batch.prediction_ids, batch.exemplar, model.keep)
        kept, failed = model.redactor.redact_batch(batch, model.store_features, keep) if any(keep) else NOTHING_KEPT
        left_out = batch.rows - len(kept.rows) - failed
        aggregated = counted_only or model.keep <= 0
        self._telemetry.add(names.ROWS_AGGREGATED_ONLY if aggregated else names.ROWS_SAMPLED_OUT, left_out)
        self._telemetry.rows_dropped(failed, DropReason.REDACTION_FAILED)
        for entity, matches in kept.redactions.items():
            self._telemetry.add(names.REDACTIONS_PREFIX + entity, matches)
        return kept.rows

    def _tell(self, rows: KeptRows) -> None:
        if self._telling is None:
            return
        try:
            for row in rows:
                redact = self._models[row.model].redactor.redact_text
                self._telling.event(prediction_event(row, self._generations.attributes(row.prediction_id, redact)))
        except Exception as error:
            self._telemetry.failed("telling", error)
