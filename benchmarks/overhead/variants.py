"""What is compared, in one shape: an application to call, a way to let its background work end, and a proof.

A variant whose proof fails is not measured: a peer that records nothing is cheap.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.overhead.traffic import PAYLOADS, App, raw_application
from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.capture.compiled import PURE as PURE_PYTHON
from mlmon_sidecar.capture.compiled import implementation

PURE = "mlmon, tap in pure Python"
Sent = dict[str, int]
"""Requests sent so far, by payload."""


class NotRecorded(Exception):
    """A variant did not record what it was given."""


class Variant:
    """The application as it is. Others override what differs."""

    works_behind = False  # threads of its own: nothing is cleared while they work

    def __init__(self, framework: str) -> None:
        self.framework = framework
        self.app: App = self.wrap(_application(framework))

    def wrap(self, app: Any) -> App:
        return app

    def settle(self) -> None:
        """Work behind the requests of a round ends here; its CPU counts as the round's."""

    def clear(self) -> None:
        """What was collected for the proof goes; outside every reading."""

    def prove(self, sent: Sent) -> None:
        """Raises ``NotRecorded``."""

    def close(self) -> None:
        """Stop threads."""


def expect(what: str, found: object, wanted: object) -> None:
    """Raises ``NotRecorded`` where the two differ."""
    if found != wanted:
        raise NotRecorded(f"{what}: {found!r}, not {wanted!r}")


class NoOp(Variant):
    """A middleware that only calls on."""

    calls = 0

    def wrap(self, app: App) -> App:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            self.calls += 1
            await app(scope, receive, send)

        return wrapped

    def prove(self, sent: Sent) -> None:
        expect("calls", self.calls, sum(sent.values()))


class Minimal(Variant):
    """The floor for anything that keeps both bodies: two wrappers, references, two readings, one tuple."""

    def wrap(self, app: App) -> App:
        self.records: deque[tuple[Any, ...]] = deque()
        self.recorded = 0
        middleware = MinimalCapture(app, self.records)
        return middleware.__call__

    def clear(self) -> None:
        for _, _, request, answer, _, _ in self.records:
            payload = next(p for p in PAYLOADS.values() if p.body == b"".join(request))
            expect("answer", b"".join(answer), b"".join(payload.answer))
        self.recorded += len(self.records)
        self.records.clear()

    def prove(self, sent: Sent) -> None:
        expect("records", self.recorded, sum(sent.values()))


class MinimalCapture:
    def __init__(self, app: App, records: deque[tuple[Any, ...]]) -> None:
        self.app = app
        self.records = records

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request: list[bytes] = []
        answer: list[bytes] = []
        status = 0

        async def watched_receive() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                request.append(message.get("body", b""))
            return message

        async def watched_send(message: Any) -> None:
            nonlocal status
            kind = message["type"]
            if kind == "http.response.body":
                answer.append(message.get("body", b""))
            elif kind == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.monotonic_ns()
        try:
            await self.app(scope, watched_receive, watched_send)
        finally:
            self.records.append((scope["path"], status, request, answer, started, time.monotonic_ns()))


class TapOnly(Variant):
    """The middleware as users mount it, with nobody behind the hand-off."""

    def wrap(self, app: App) -> App:
        models = {name: {"routes": [f"POST /{name}"]} for name in PAYLOADS}
        self._folder = tempfile.TemporaryDirectory(prefix="mlmon-overhead-")
        config = Path(self._folder.name, "mlmon.toml")
        config.write_text("".join(f"[models.{name}]\nroutes = {said['routes']}\n" for name, said in models.items()))
        middleware = MonitorMiddleware(app, config=config, strict=True)
        process = middleware._process
        assert process is not None, "strict"
        process.pid = os.getpid()  # as if started: no worker
        self.process, self.handoff = process, process.handoff
        self.captured = 0
        return middleware.__call__

    def clear(self) -> None:
        for exchange in self.handoff.drain(1_000_000):
            payload = PAYLOADS[exchange.model]
            expect("request", b"".join(exchange.request_body), payload.body)
            expect("answer", b"".join(exchange.response_body), b"".join(payload.answer))
            self.captured += 1

    def prove(self, sent: Sent) -> None:
        expect("exchanges", self.captured, sum(sent.values()))
        expect("exchanges lost", self.process.faults.lost, 0)

    def close(self) -> None:
        self._folder.cleanup()


class PureTap(TapOnly):
    """The same without the compiled tap: each variant is a process of its own, told before it loads the package."""

    def prove(self, sent: Sent) -> None:
        super().prove(sent)
        expect("tap", implementation(), "pure Python")


class BaseHttp(Variant):
    """Starlette's ``BaseHTTPMiddleware`` with a dispatch that only calls on."""

    calls = 0

    def wrap(self, app: Any) -> App:
        from starlette.middleware.base import BaseHTTPMiddleware

        async def dispatch(request: Any, call_next: Any) -> Any:
            self.calls += 1
            return await call_next(request)

        return BaseHTTPMiddleware(app, dispatch=dispatch)  # type: ignore[return-value]

    def prove(self, sent: Sent) -> None:
        expect("calls", self.calls, sum(sent.values()))


class OpenTelemetry(Variant):
    """opentelemetry-instrumentation-fastapi (on raw ASGI its ASGI middleware), spans and metrics kept in memory."""

    works_behind = True

    def wrap(self, app: Any) -> App:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.exporter = InMemorySpanExporter()
        self.servers: Sent = dict.fromkeys(PAYLOADS, 0)
        self.provider = TracerProvider()
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter, max_queue_size=1 << 16))
        self.meters = MeterProvider(metric_readers=[InMemoryMetricReader()])
        if self.framework == "fastapi":
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

            FastAPIInstrumentor.instrument_app(app, tracer_provider=self.provider, meter_provider=self.meters)
            return app  # type: ignore[no-any-return]
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        return OpenTelemetryMiddleware(  # type: ignore[no-any-return]
            app, tracer_provider=self.provider, meter_provider=self.meters
        )

    def settle(self) -> None:
        self.provider.force_flush()

    def clear(self) -> None:
        from opentelemetry.trace import SpanKind

        for span in self.exporter.get_finished_spans():
            if span.kind is SpanKind.SERVER:
                path = str((span.attributes or {}).get("http.target") or (span.attributes or {}).get("url.path"))
                self.servers[path.strip("/")] += 1
        self.exporter.clear()

    def prove(self, sent: Sent) -> None:
        expect("server spans", self.servers, sent)

    def close(self) -> None:
        self.provider.shutdown()
        self.meters.shutdown()


class Prometheus(Variant):
    """prometheus-fastapi-instrumentator with its defaults. FastAPI only."""

    def wrap(self, app: Any) -> App:
        from prometheus_client import CollectorRegistry
        from prometheus_fastapi_instrumentator import Instrumentator

        self.registry = CollectorRegistry()
        Instrumentator(registry=self.registry).instrument(app)
        return app  # type: ignore[no-any-return]

    def prove(self, sent: Sent) -> None:
        for name, requests in sent.items():
            labels = {"handler": f"/{name}", "method": "POST", "status": "2xx"}
            expect(name, self.registry.get_sample_value("http_requests_total", labels), float(requests))


class Elastic(Variant):
    """elastic-apm with ``capture_body=all``; what it would send is compressed, read back and counted here."""

    works_behind = True

    def wrap(self, app: Any) -> App:
        from elasticapm import Client

        self.client = Client(
            service_name="benchmark",
            capture_body="all",
            transaction_sample_rate=1.0,
            transport_class="benchmarks.overhead.elastic_transport.CountingTransport",
            central_config=False,
            metrics_interval="0s",
            cloud_provider="none",
            log_level="off",
        )
        self.seen: Sent = dict.fromkeys(PAYLOADS, 0)
        if self.framework == "fastapi":
            from elasticapm.contrib.starlette import ElasticAPM

            app.add_middleware(ElasticAPM, client=self.client)
            return app  # type: ignore[no-any-return]
        from elasticapm.contrib.asgi import ASGITracingMiddleware

        return ASGITracingMiddleware(app, client=self.client)  # type: ignore[no-any-return]

    def settle(self) -> None:
        self.client._transport.flush()

    def clear(self) -> None:
        for path, body in self.client._transport.take():
            payload = PAYLOADS[path.strip("/")]
            expect("elastic body", bool(body) and payload.body.decode().startswith(body[:1000]), True)
            self.seen[payload.name] += 1

    def prove(self, sent: Sent) -> None:
        expect("elastic transactions", self.seen, sent)

    def close(self) -> None:
        self.client.close()


def _application(framework: str) -> Any:
    if framework == "raw":
        return raw_application()
    from benchmarks.overhead.fastapi_traffic import fastapi_application

    return fastapi_application()


def _complete(framework: str) -> Variant:
    from benchmarks.overhead.complete import Complete

    return Complete(framework)


def _unchecked(framework: str) -> Variant:
    from benchmarks.overhead.unchecked import Unchecked

    return Unchecked(framework)


VARIANTS: dict[str, Callable[[str], Variant]] = {
    "bare": Variant,
    "no-op": NoOp,
    "minimal capture": Minimal,
    "the steps of a tap in C, unchecked": _unchecked,
    "mlmon, tap alone": TapOnly,
    PURE: PureTap,
    "mlmon, everything on": _complete,
    "BaseHTTPMiddleware": BaseHttp,
    "opentelemetry-instrumentation": OpenTelemetry,
    "prometheus-fastapi-instrumentator": Prometheus,
    "elastic-apm with bodies": Elastic,
}
ENVIRONMENT = {PURE: {PURE_PYTHON: "1"}}  # of a variant's process
FASTAPI_ONLY = frozenset({"prometheus-fastapi-instrumentator"})

__all__ = ["ENVIRONMENT", "FASTAPI_ONLY", "VARIANTS", "NotRecorded", "Variant"]
