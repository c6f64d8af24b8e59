"""Figures and events on their way out: which provider, which threads, one deadline at the end.

Import this at start-up only: it loads OpenTelemetry. Create the exporter after the application's own start-up, so that
providers the application sets up are seen and no thread exists before a fork.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from mlmon_sidecar.export.catalog import PREDICTION_ID, SAMPLED_EVENTS
from mlmon_sidecar.export.figures import Collector
from mlmon_sidecar.export.host import HostMetrics, host_meter_provider
from mlmon_sidecar.export.lane import Lane
from mlmon_sidecar.export.options import ExportOptions
from mlmon_sidecar.export.otel_logs import Delivery, LogsLane, host_logger_provider, through_host, through_sender
from mlmon_sidecar.export.otel_metrics import MetricsLane
from mlmon_sidecar.export.otel_senders import Sender, log_sender, metric_sender, span_sender
from mlmon_sidecar.export.outcome import (
    HOST,
    LOGS,
    METRICS,
    NEVER,
    OFF,
    SPANS_DROPPED_PREFIX,
    TRACES,
    Outcome,
    Outcomes,
)
from mlmon_sidecar.export.own import TelemetrySource
from mlmon_sidecar.export.own_spans import OwnSpans, nobody_traces, with_resource
from mlmon_sidecar.export.prometheus import exposition
from mlmon_sidecar.export.pump import Pump
from mlmon_sidecar.export.quiet import Quiet
from mlmon_sidecar.interfaces import Clock, Source
from mlmon_sidecar.records import Event, Exchange
from mlmon_sidecar.telemetry import Telemetry
from mlmon_sidecar.version import __version__

__all__ = ["Exporter"]

DEFAULT_SHUTDOWN_SECONDS = 5.0
_INSTANCE = "service.instance.id"
_SCOPE = InstrumentationScope("mlmon_sidecar", __version__)


class Exporter:
    """Sends what the sources say, and events, through the application's providers or private ones; sets no globals.

    ``TelemetrySource`` is among the sources by itself. Nothing configured and no provider of the application: nothing
    is sent, no thread starts and no socket is opened. No method raises because of a collector.

    Args:
        clock: gives every time stamp; only its ``unix_ns`` moves with a clock scale.
        instance_id: tells this process from others, "" for a fresh UUID; ``mlmon.recorder`` with host providers.
    """

    def __init__(
        self,
        options: ExportOptions,
        sources: Sequence[Source],
        telemetry: Telemetry,
        clock: Clock,
        *,
        instance_id: str = "",
    ) -> None:
        self._options = options
        self._telemetry = telemetry
        self._clock = clock
        self._collector = Collector((TelemetrySource(telemetry), *sources), telemetry)
        self._instance_id = instance_id or str(uuid.uuid4())
        self._host: HostMetrics | None = None
        self._started = _Started(telemetry, clock)

    def start(self) -> None:
        """Look for the application's providers, then start what is needed. Returns at once, connects to nothing."""
        self._start_metrics()
        self._start_logs()
        self._start_spans()

    def event(self, event: Event) -> None:
        """Queue one log record; never blocks. Predictions and their outcomes only as far as the sampled share goes."""
        lane = self._started.logs
        if lane is None:
            return
        if event.name in SAMPLED_EVENTS and not self._options.keeps_prediction(
            str(dict(event.attributes).get(PREDICTION_ID, ""))
        ):
            return
        lane.put(event)

    def trace(self, exchange: Exchange, route: str, path: str) -> Exchange:
        """The exchange with the ids of a span of our own, where it is in no trace and such are made."""
        own = self._started.own_spans
        return exchange if own is None else own.trace(exchange, route, path)

    @property
    def sends_metrics(self) -> bool:
        return self._started.outcomes.last()[METRICS].text != OFF

    @property
    def idle(self) -> bool:
        """Nothing is sent anywhere: there is nothing to wait for at the end."""
        return not self._started.pumps and self._host is None

    def exposition(self) -> bytes:
        """Current figures as Prometheus reads them."""
        return exposition(self._collector.collect(), {"service.instance.id": self._instance_id})

    def last_outcome(self) -> Mapping[str, Outcome]:
        """Signal ("metrics", "logs") to how its last export went."""
        return self._started.outcomes.last()

    @property
    def held(self) -> tuple[int, int]:
        """(events, bytes) that wait to be sent as log records."""
        lane = self._started.logs
        return (0, 0) if lane is None else lane.held

    def flush(self, deadline_seconds: float) -> bool:
        """Export now. True where it ended within the deadline, and no export failed or was put off meanwhile."""
        outcomes = self._started.outcomes
        before = outcomes.failures()
        tickets = [(pump, pump.ask()) for pump in self._started.pumps]
        ended = _wait(tickets, deadline_seconds)
        return ended and outcomes.failures() == before and not any(one.resting for one in self._started.senders)

    def shutdown(self, deadline_seconds: float = DEFAULT_SHUTDOWN_SECONDS) -> bool:
        """A last export of every signal, side by side, under one deadline. Safe to call twice.

        Returns:
            Whether everything ended within the deadline. What did not is abandoned: its daemon thread ends with its
            own time-out, or with the process.
        """
        started, until = self._started, time.monotonic() + deadline_seconds
        last = None if self._host is None else self._host.flush(deadline_seconds)
        ended = _wait([(pump, pump.stop()) for pump in started.pumps], deadline_seconds)
        if last is not None:
            last.join(max(0.0, until - time.monotonic()))
            ended = ended and not last.is_alive()
        for pump in started.pumps:
            pump.abandon()
        started.close()
        if self._host is not None:
            self._host.close()
        return ended

    def reset_after_fork(self, instance_id: str = "") -> None:
        """In the child of a fork: forget the parent's threads, sockets and queue, and start afresh."""
        self._instance_id = instance_id or str(uuid.uuid4())
        self._started.quiet.uninstall()
        if self._host is not None:
            self._host.close()
        self._collector = self._collector.afresh()
        self._started = _Started(self._telemetry, self._clock)
        self.start()

    def _start_metrics(self) -> None:
        started, options = self._started, self._options
        provider = host_meter_provider() if options.use_host_providers else None
        if provider is not None:
            self._host = HostMetrics.of(provider, self._collector, __version__, self._instance_id)
            started.outcomes.declare(METRICS, HOST)
        elif options.metrics is not None:
            sender = metric_sender(options.metrics, started.outcomes, started.quiet)
            lane = MetricsLane(self._collector, self._resource, _SCOPE, options.temporality, sender, self._clock)
            started.senders.append(sender)
            started.outcomes.declare(METRICS, NEVER)
            self._pump(METRICS, options.interval_seconds, lane.step, sender.close)

    def _start_logs(self) -> None:
        started, options = self._started, self._options
        provider = host_logger_provider() if options.use_host_providers else None
        if provider is not None:
            started.outcomes.declare(LOGS, HOST)
            self._start_log_lane(through_host(provider, _SCOPE), lambda: None)
        elif options.logs is not None:
            sender = log_sender(options.logs, started.outcomes, started.quiet)
            started.senders.append(sender)
            started.outcomes.declare(LOGS, NEVER)
            deliver = through_sender(sender, self._resource, _SCOPE)
            self._start_log_lane(deliver, sender.close, lambda: sender.resting)

    def _start_spans(self) -> None:
        options, started = self._options.traces, self._started
        if options is None or not nobody_traces():
            return
        sender = span_sender(options, started.outcomes, started.quiet)
        known: list[Resource] = []

        def deliver(spans: Sequence[ReadableSpan]) -> str:
            if not known:  # here, on the export thread: resource detectors may wait
                known.append(self._resource())
            return sender.send(with_resource(spans, known[0], _SCOPE))

        def lost(amount: int, reason: str) -> None:
            self._telemetry.add(SPANS_DROPPED_PREFIX + reason, amount)

        queue, batch = self._options.log_queue, self._options.log_batch
        lane: Lane[ReadableSpan] = Lane(deliver, lost, queue=queue, batch=batch, rests=lambda: sender.resting)
        started.senders.append(sender)
        started.outcomes.declare(TRACES, NEVER)
        started.spans, started.own_spans = lane, OwnSpans(lane.offer, self._clock.unix_at)
        self._pump(TRACES, self._options.log_delay_seconds, lane.step, sender.close)

    def _start_log_lane(
        self, deliver: Delivery, end: Callable[[], None], rests: Callable[[], bool] = lambda: False
    ) -> None:
        queue, batch = self._options.log_queue, self._options.log_batch
        lane = LogsLane(deliver, self._telemetry, queue=queue, batch=batch, rests=rests)
        self._started.logs = lane
        self._pump(LOGS, self._options.log_delay_seconds, lane.step, end)

    def _pump(self, signal: str, interval_seconds: float, step: Callable[[], None], end: Callable[[], None]) -> None:
        pump = Pump(signal, interval_seconds, self._guarded(step), self._guarded(end))
        pump.start()
        self._started.pumps.append(pump)

    def _guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        """``action``, its exceptions counted: a thread of ours never dies of one."""

        def run() -> None:
            try:
                action()
            except Exception as error:
                self._telemetry.failed("export", error)

        return run

    def _resource(self) -> Resource:
        """Who we are. A configured instance id may be shared by worker processes: the process id sets them apart."""
        given = self._options.resource.get(_INSTANCE)
        instance = f"{given}-{os.getpid()}" if given else self._instance_id
        return Resource.create({**self._options.resource, _INSTANCE: instance})


class _Started:
    """What one process has running."""

    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self.outcomes = Outcomes(telemetry, clock)
        self.quiet = Quiet(clock.monotonic_ns)
        self.pumps: list[Pump] = []
        self.senders: list[Sender] = []
        self.logs: LogsLane | None = None
        self.spans: Lane[ReadableSpan] | None = None
        self.own_spans: OwnSpans | None = None

    def close(self) -> None:
        """Stop taking anything. The last outcomes stay readable."""
        for lane in (self.logs, self.spans):
            if lane is not None:
                lane.close()
        self.quiet.uninstall()
        self.pumps, self.senders = [], []
        self.logs = self.spans = self.own_spans = None


def _wait(tickets: Sequence[tuple[Pump, int]], deadline_seconds: float) -> bool:
    """Whether every run asked for ended within one deadline over all."""
    end = time.monotonic() + deadline_seconds
    return all(pump.wait(ticket, end - time.monotonic()) for pump, ticket in tickets)
