"""From captured exchanges to numbered flushes, in one thread beside the server.

Work is done in steps of about half a millisecond with a real sleep between them, because the server's own threads wait
for the same interpreter. ``stages.py`` has the stages in their order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.capture.faults import Faults
from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.interfaces import Clock, HubClient, Telling
from mlmon_sidecar.recorder.adopting import Adopting, MakeModel
from mlmon_sidecar.recorder.batches import by_minutes, part, units
from mlmon_sidecar.recorder.counters import Counters
from mlmon_sidecar.recorder.durations import Durations
from mlmon_sidecar.recorder.figures import Totals
from mlmon_sidecar.recorder.flushing import Contents, Flushing
from mlmon_sidecar.recorder.generations import GenerationBook
from mlmon_sidecar.recorder.minutes import Minutes
from mlmon_sidecar.recorder.sizes import BatchSizes
from mlmon_sidecar.recorder.stages import RecordedModel, Stages
from mlmon_sidecar.recorder.violations import Violations
from mlmon_sidecar.recorder.waiting import FLUSH_BYTES, FLUSH_PANES, Waiting
from mlmon_sidecar.records import MINUTE_NS, Distribution, DropReason, Exchange, Measurement, PredictionBatch
from mlmon_sidecar.telemetry import Telemetry

logger = logging.getLogger("mlmon_sidecar")

LEAST_PAUSE_SECONDS = 0.0002  # between two steps: as long as the last one took, within these bounds, so that most of
MOST_PAUSE_SECONDS = 0.001  # the interpreter's time is the server's, and more of it the more the server needs
CALM_PAUSE_SECONDS = 0.05  # nothing is waiting: gather some before the next step
RETRY_SECONDS = 0.05  # between attempts to hand over the last flush, while the hub changes hands
OBSERVE_UNITS = 20_000  # counted at once in the thread of who observes: its own time, but not the recorder's lock


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
        warning: Telling | None = None,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
        generations: GenerationBook | None = None,
        adopt: MakeModel | None = None,
        tracing: Callable[[Exchange], Exchange] | None = None,
    ) -> None:
        self._handoff = handoff
        self._hub = hub
        self._clock = clock
        self._telemetry = telemetry
        self._interval_ns = int(flush_interval_seconds * 1e9)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._state = threading.RLock()  # what follows, to the flushes: the recorder's thread, observe() and flush()
        self._waiting = Waiting({name: model.layout.size for name, model in models.items()}, telemetry)
        self._minutes = Minutes(models, clock, self._interval_ns)
        self._generations = generations or GenerationBook()
        expected = {name: model.schema for name, model in models.items()}
        self._violations = Violations(expected, telemetry, clock, warning)
        self._sizes = BatchSizes()
        self._durations = Durations(clock.unix_at)
        self._stages = Stages(
            models, handoff, clock, telemetry, self._waiting, self._minutes,
            lock=self._state, violations=self._violations, generations=self._generations, sizes=self._sizes,
            durations=self._durations,
            telling=telling, tracing=tracing, cpu_ns=cpu_ns,
        )  # fmt: skip
        self._adopting = None if adopt is None else Adopting(hub, clock, telemetry, adopt)
        self._totals = Totals({name: model.layout for name, model in models.items()})
        self._counters = Counters(telemetry, handoff, faults or Faults())
        self._complete: Mapping[str, int] = dict.fromkeys(models, -1)
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
            begun = self._clock.monotonic_ns()
            try:
                more = self._stages.step()
                if self._clock.monotonic_ns() >= self._next_flush_ns:
                    self._next_flush_ns = self._clock.monotonic_ns() + self._interval_ns
                    self._rest()
                    self._stages.count_gathered(self._rest)  # what a flush calls decoded is in its panes
                    self._flushing.deliver(rest=self._rest)
                    self._adopt()
            except Exception as error:  # The recorder outlives any fault in its stages.
                self._telemetry.failed("recorder", error)
                more = False
            if more:
                spent = (self._clock.monotonic_ns() - begun) / 1e9
                time.sleep(
                    min(max(spent, LEAST_PAUSE_SECONDS), MOST_PAUSE_SECONDS)
                )  # cheaper than to wait for an event
            else:
                self._stopping.wait(CALM_PAUSE_SECONDS)

    def _rest(self) -> None:
        time.sleep(MOST_PAUSE_SECONDS)

    def stop(self, deadline_seconds: float = 5.0) -> int:
        """Drain, flush once more, and return how many accepted exchanges were still queued at the deadline.

        A hub that does not answer costs what was recorded since the last flush, which the log says.
        """
        deadline_ns = self._clock.monotonic_ns() + int(deadline_seconds * 1e9)
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(deadline_seconds)
        try:
            while self._clock.monotonic_ns() < deadline_ns and (
                self._stages.step() or self._handoff.stats().items_in_queue
            ):
                pass
        except Exception as error:  # What is recorded already is still handed over.
            self._telemetry.failed("recorder", error)
        left = self._handoff.stats().items_in_queue
        self._telemetry.dropped(left, DropReason.SHUTDOWN)
        self._minutes.taken(self._clock.monotonic_ns())  # what is left is dropped
        self._stages.count_gathered()
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

    # ------------------------------------------------------------ rows without requests

    def observe(self, batch: PredictionBatch) -> None:
        """Rows that came by no request. The caller's thread does the work, and waits for a flush when too many wait."""
        with self._state:
            self._telemetry.add(names.ACCEPTED)
            self._telemetry.add(names.DECODED)
        limit = self._waiting.pane_limit(batch.model)
        for minutes in by_minutes(batch, limit // 2):
            with self._state:
                known = self._stages.of_known_version(minutes)
                self._stages.check(known)
            step = max(1, OBSERVE_UNITS * known.rows // max(1, units(known)))
            for start in range(0, known.rows, step):
                with self._state:
                    self._stages.add([part(known, slice(start, start + step))])
            with self._state:
                self._minutes.observed(batch.model, int(known.event_ns.max()) // MINUTE_NS if known.rows else -1)
                panes = self._stages.panes(batch.model)
                many = self._waiting.row_bytes > FLUSH_BYTES or panes > min(FLUSH_PANES, limit // 4)
            if many:
                self._flushing.deliver()

    # ------------------------------------------------------------ baselines

    def _adopt(self) -> None:
        for name, model in self._adopting.due() if self._adopting is not None else ():
            self.adopt(name, model)

    def adopt(self, name: str, model: RecordedModel) -> None:
        """Count model ``name`` by another layout from here on. What was counted by the former one leaves as it is."""
        with self._state:
            self._stages.count_gathered()
            self._collect_panes()
            self._stages.replace(name, model)
            self._waiting.resize(name, model.layout.size)
            self._violations.expect(name, model.schema)

    def expect_event_times(self, model: str) -> None:
        """``model`` will be fed by ``observe``: nobody seals its minutes by the wall clock."""
        with self._state:
            self._minutes.expect(model)

    # ------------------------------------------------------------ flushes

    def flush(self) -> bool:
        """Hand over everything recorded so far. False: no hub answered, it is kept for the next time."""
        self._stages.count_gathered()
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
        panes = self._stages.take_panes()
        for pane in panes:
            self._totals.add(pane)
        self._waiting.add(panes)

    def _forget_oldest_panes(self) -> None:
        """No hub takes them."""
        with self._state:
            if self._waiting.panes + self._stages.panes() > self._waiting.least_pane_limit:
                self._collect_panes()
                self._waiting.forget_oldest_panes()

    # ------------------------------------------------------------ figures

    def measurements(self) -> Sequence[Measurement | Distribution]:
        """What this process served and lost since it started."""
        stats = self._handoff.stats()
        full = (("mlmon.drop.kind", "exchange"), ("mlmon.drop.reason", DropReason.QUEUE_FULL.value))
        return [
            *self._totals.measurements(),
            *self._durations.measurements(),
            *self._sizes.measurements(),
            *self._violations.measurements(),
            *self._generations.measurements(),
            Measurement("mlmon.self.queue.size", stats.bytes_in_queue),
            Measurement("mlmon.self.queue.limit", self._handoff.max_bytes),
            Measurement("mlmon.self.dropped", stats.dropped_full, full),
            Measurement("mlmon.self.flush.lag", self._flushing.lag_seconds),
        ]
