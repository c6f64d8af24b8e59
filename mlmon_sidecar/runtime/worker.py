"""What records, in one serving process: the recorder, the way to the hub, the exporter. Loads the heavy libraries."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from mlmon_sidecar.capture.selection import Routes
from mlmon_sidecar.export.options import ExportOptions
from mlmon_sidecar.export.otel import Exporter
from mlmon_sidecar.hub.embedded import CLOSE_SECONDS, EmbeddedHub
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.hub.label_privacy import LabelPrivacy
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.interfaces import Clock, HubClient, Source
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.recorder.generations import GenerationBook
from mlmon_sidecar.records import Distribution, Exchange, Measurement
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.label_pull import LabelPull
from mlmon_sidecar.runtime.learning import learner
from mlmon_sidecar.runtime.surroundings import Surroundings
from mlmon_sidecar.runtime.wiring import export_options, make_clock
from mlmon_sidecar.store import open_store, store_path
from mlmon_sidecar.telemetry import Telemetry, logger

if TYPE_CHECKING:
    from mlmon_sidecar.config import Settings
    from mlmon_sidecar.runtime.process import MonitoredProcess

LEAST_SECONDS = 0.5  # however late it is: an end that hands over nothing was no end


class Worker:
    """Made in a thread of its own after the server's start-up."""

    def __init__(self, process: MonitoredProcess) -> None:
        settings = process.settings
        self._process = process
        clock = self.clock = make_clock(settings)
        options = export_options(settings, dict(os.environ))
        self._surroundings = Surroundings(process)
        self.exporter = Exporter(options, self._sources(), process.telemetry, clock)
        redactor = assembly.make_redactor(settings)
        self.hub = hub_client(settings, process.watched, clock, process.telemetry, self.exporter, options, redactor)
        process.slot.fill(self.hub)
        environ = dict(os.environ)
        content = assembly.captures_content(settings, environ)
        models = {w.name: assembly.recorded_model(w, settings, redactor, content=content) for w in process.watched}
        self.decode_options = {name: model.decode for name, model in models.items()}
        self.recorder = Recorder(
            models,
            process.handoff,
            self.hub,
            clock,
            process.telemetry,
            flush_interval_seconds=settings.flush_interval_seconds,
            faults=process.faults,
            telling=self.exporter if options.prediction_logs else None,
            warning=self.exporter,
            generations=GenerationBook(options.keeps_prediction, latest=assembly.latest_gen_ai(environ)),
            tracing=self._tracing(redactor) if options.traces is not None else None,
            adopt=lambda name, document: self._adopt(name, document, redactor, content),
        )

    def _adopt(self, name: str, document: str, redactor: Redactor, content: bool) -> RecordedModel:
        settings = self._process.settings
        (watched,) = (each for each in self._process.watched if each.name == name)
        model = assembly.recorded_model(
            assembly.adopted(watched, document, settings), settings, redactor, content=content
        )
        self.decode_options[name] = model.decode
        return model

    def _tracing(self, redactor: Redactor) -> Callable[[Exchange], Exchange]:
        routes = Routes({name: model.routes for name, model in self._process.settings.captured().items()})

        def trace(exchange: Exchange) -> Exchange:
            if exchange.trace_id:
                return exchange
            route = routes.of(exchange.model, exchange.method, exchange.path)
            return self.exporter.trace(exchange, route, redactor.redact_text(exchange.path))

        return trace

    def _sources(self) -> Sequence[Source]:
        return [lambda: self.recorder.measurements(), lambda: hub_figures(self.hub), *self._surroundings.sources]

    def start(self) -> None:
        self.exporter.start()
        if self._process.settings.export.scraped or self.exporter.sends_metrics:
            self._surroundings.start()
        self.recorder.start()

    def stop(self, deadline_seconds: float) -> None:
        """What was recorded first, then the hub where it is here, then the last export with what is left of it."""
        until = time.monotonic() + deadline_seconds
        hub = CLOSE_SECONDS if isinstance(self.hub, EmbeddedHub) else 0.0
        try:
            lost = self.recorder.stop(
                max(LEAST_SECONDS, (deadline_seconds - hub) * (1 if self.exporter.idle else 2 / 3))
            )
            if lost:
                logger.warning("mlmon: the time to stop was up: %d exchanges that were not read yet are lost", lost)
        finally:
            self._surroundings.stop()
            self.exporter.shutdown(max(LEAST_SECONDS, until - time.monotonic()))

    @property
    def problem(self) -> str:
        """Why nothing can be stored at present; "" as far as is known here."""
        return self.hub.problem if isinstance(self.hub, EmbeddedHub) else ""


def hub_client(
    settings: Settings,
    watched: Sequence[assembly.Watched],
    clock: Clock,
    telemetry: Telemetry,
    exporter: Exporter,
    options: ExportOptions,
    redactor: Redactor,
) -> HubClient:
    """The embedded hub, or the way to a separate one."""
    if settings.hub.socket is not None:
        return SocketHubClient(settings.hub.socket)
    return EmbeddedHub(
        store_path(settings.store),
        lambda: make_hub(settings, watched, clock, telemetry, exporter, options, redactor, role="embedded"),
    )


def make_hub(
    settings: Settings,
    watched: Sequence[assembly.Watched],
    clock: Clock,
    telemetry: Telemetry,
    exporter: Exporter,
    options: ExportOptions,
    redactor: Redactor,
    *,
    role: Literal["embedded", "separate"],
) -> Hub:
    """A hub on this configuration's store. Raises ``StoreError``."""
    store = open_store(settings.store)
    try:
        hub = Hub(
            store,
            [assembly.model_plan(model, settings) for model in watched],
            clock,
            telemetry,
            assembly.hub_options(settings, role),
            telling=exporter,
            export_outcome=lambda: export_outcome(exporter, options),
            privacy=LabelPrivacy(redactor),
            build_baseline=learner(settings, redactor),
        )
        orders = assembly.pull_orders(settings)
        if orders:
            hub.companions.append(LabelPull(hub, orders))
        return hub
    except BaseException:
        store.close()  # it is tried again every second, and must not be open twice
        raise


def hub_figures(hub: HubClient) -> Sequence[Measurement | Distribution]:
    """Model-level figures, where this process is the hub."""
    here = hub.hub if isinstance(hub, EmbeddedHub) else None
    return here.measurements() if here is not None else [Measurement("mlmon.self.hub.leader", 0)]


def export_outcome(exporter: Exporter, options: ExportOptions) -> Mapping[str, object]:
    """The page's line on the export."""
    target = options.metrics or options.logs
    return {
        "target": None if target is None else target.target,
        "last": {
            signal: {"outcome": outcome.text, "at_ms": outcome.at_ns // 1_000_000}
            for signal, outcome in exporter.last_outcome().items()
        },
    }


__all__ = ["Worker", "export_outcome", "hub_client", "hub_figures", "make_hub"]
