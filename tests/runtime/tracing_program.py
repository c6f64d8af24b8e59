"""``python tracing_program.py otel|native|logfire|ddtrace FOLDER``: one request each through every nesting of the
application's tracing and the monitor, and what became of spans and rows, as JSON on the output."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ |= {
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false", "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "DD_TRACE_STARTUP_LOGS": "false", "DD_CRASHTRACKING_ENABLED": "false", "DD_TRACE_PROPAGATION_STYLE": "tracecontext",
    "LOGFIRE_SEND_TO_LOGFIRE": "false", "LOGFIRE_CONSOLE": "false",
}  # fmt: skip
LIBRARY, FOLDER = sys.argv[1], Path(sys.argv[2])

if LIBRARY == "ddtrace":
    from ddtrace import patch
    from ddtrace.trace import TraceFilter, tracer

    patch(fastapi=True)

from fastapi import FastAPI  # noqa: E402  # a tracer patches it before

from mlmon_sidecar import MonitorMiddleware  # noqa: E402

Span = dict[str, Any]
Nesting = Callable[[FastAPI, Mapping[str, Any]], Any]


def application(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.post("/score")
    async def score(row: dict[str, float]) -> dict[str, float]:
        return {"prediction": row["a"]}

    return app


async def request(app: Any) -> str:
    """The prediction's id."""
    sent: list[Any] = []
    headers = [(b"host", b"h"), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": "/score", "raw_path": b"/score", "query_string": b"",
        "scheme": "http", "headers": headers, "asgi": {"version": "3.0"}, "server": ("h", 80),
        "client": ("c", 1), "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"a":1}', "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 200, sent
    return dict(sent[0]["headers"])[b"x-mlmon-prediction-id"].decode()


def monitor_of(app: Any) -> MonitorMiddleware:
    """Wherever it is in the stack."""
    while not isinstance(app, MonitorMiddleware):
        app = getattr(app, "middleware_stack", None) or app.app
    return app


def run(
    name: str, nesting: Nesting, make: Callable[[], FastAPI], spans: Callable[[], Sequence[Span]]
) -> dict[str, Any]:
    options = {"store": f"sqlite:///{FOLDER}/{name.replace(' ', '-')}.db", "strict": True}
    app = nesting(make(), options)
    prediction = asyncio.run(request(app))
    process = monitor_of(app)._process
    assert process is not None
    process._ready.wait(60)
    process.stop()
    with closing(sqlite3.connect(options["store"].removeprefix("sqlite:///"))) as connection:
        rows = connection.execute("SELECT prediction_id, trace_id, span_id FROM predictions").fetchall()
    return {
        "case": name,
        "prediction": prediction,
        "rows": rows,
        "spans": list(spans()),
        "faults": str(process.degraded),
    }


def inside(app: FastAPI, options: Mapping[str, Any]) -> Any:
    app.add_middleware(MonitorMiddleware, **options)
    return app


def outside(app: FastAPI, options: Mapping[str, Any]) -> Any:
    return MonitorMiddleware(app, **options)


def sdk_span(span: Any) -> Span:
    return {
        "name": span.name, "kind": span.kind.name, "ended": span.end_time is not None,
        "status": span.status.status_code.name,
        "trace": f"{span.context.trace_id:032x}", "span": f"{span.context.span_id:016x}",
        "ours": {key: value for key, value in span.attributes.items() if key.startswith("mlmon.")},
    }  # fmt: skip


def memory() -> tuple[Any, Callable[[], list[Span]]]:
    """(processor, what it has seen since it was last asked)."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()

    def seen() -> list[Span]:
        found = [sdk_span(span) for span in exporter.get_finished_spans()]
        exporter.clear()
        return found

    return SimpleSpanProcessor(exporter), seen


def with_sdk() -> Callable[[], list[Span]]:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    processor, seen = memory()
    provider = TracerProvider()
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    return seen


def plain() -> FastAPI:
    """Without what FastAPI traces itself."""
    return application(telemetry={"tracing": False}) if native_telemetry() else application()


def native_telemetry() -> bool:
    import inspect

    return "telemetry" in inspect.signature(FastAPI.__init__).parameters


def otel() -> list[dict[str, Any]]:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    seen = with_sdk()

    def instrumented(app: FastAPI) -> FastAPI:
        FastAPIInstrumentor.instrument_app(app)
        return app

    def instrumented_last(app: FastAPI, options: Mapping[str, Any]) -> Any:
        return instrumented(inside(app, options))

    nestings: dict[str, Nesting] = {
        "fastapi instrumented then monitored": lambda app, options: inside(instrumented(app), options),
        "fastapi monitored then instrumented": instrumented_last,
        "monitor around fastapi instrumented": lambda app, options: outside(instrumented(app), options),
        "asgi around monitor": lambda app, options: OpenTelemetryMiddleware(outside(app, options)),
        "monitor around asgi": lambda app, options: MonitorMiddleware(OpenTelemetryMiddleware(app), **options),
        "asgi around monitor around fastapi instrumented": lambda app, options: OpenTelemetryMiddleware(
            outside(instrumented(app), options)
        ),
        "monitor twice": lambda app, options: MonitorMiddleware(
            OpenTelemetryMiddleware(outside(app, options)), **options
        ),
    }
    return [run(name, nesting, plain, seen) for name, nesting in nestings.items()]


def native() -> list[dict[str, Any]]:
    if not native_telemetry():
        return []
    seen = with_sdk()
    return [run("inside", inside, application, seen), run("outside", outside, application, seen)]


def logfire() -> list[dict[str, Any]]:
    import logfire

    processor, seen = memory()
    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[processor])

    def instrumented(app: FastAPI) -> FastAPI:
        logfire.instrument_fastapi(app)
        return app

    nestings: dict[str, Nesting] = {
        "instrumented then monitored": lambda app, options: inside(instrumented(app), options),
        "monitored then instrumented": lambda app, options: instrumented(inside(app, options)),
        "monitor around": lambda app, options: outside(instrumented(app), options),
        "asgi around monitor": lambda app, options: logfire.instrument_asgi(outside(app, options)),
        "monitor around asgi": lambda app, options: MonitorMiddleware(logfire.instrument_asgi(app), **options),
    }
    return [run(name, nesting, plain, seen) for name, nesting in nestings.items()]


def ddtrace() -> list[dict[str, Any]]:
    from ddtrace.contrib.asgi import TraceMiddleware

    found: list[Span] = []

    class Keep(TraceFilter):
        def process_trace(self, trace: Sequence[Any]) -> None:
            for span in trace:
                tags = {key: span.get_tag(key) for key in ("mlmon.prediction.id", "mlmon.model.name")}
                found.append({
                    "name": span.name, "kind": "SERVER" if span.get_tag("span.kind") == "server" else "INTERNAL",
                    "ended": span.finished, "status": "ERROR" if span.error else "UNSET",
                    "trace": f"{span.trace_id:032x}", "span": f"{span.span_id:016x}",
                    "ours": {key: value for key, value in tags.items() if value is not None},
                })  # fmt: skip

    tracer.configure(trace_processors=[Keep()])

    def seen() -> list[Span]:
        now, found[:] = list(found), []
        return now

    def unpatched() -> FastAPI:
        from ddtrace.contrib.internal.fastapi.patch import unpatch

        unpatch()
        return plain()

    patched: dict[str, Nesting] = {"monitored and patched": inside, "monitor around patched": outside}
    wrapped: dict[str, Nesting] = {
        "asgi around monitor": lambda app, options: TraceMiddleware(outside(app, options)),
        "monitor around asgi": lambda app, options: MonitorMiddleware(TraceMiddleware(app), **options),
    }
    first = [run(name, nesting, plain, seen) for name, nesting in patched.items()]
    return first + [run(name, nesting, unpatched, seen) for name, nesting in wrapped.items()]


if __name__ == "__main__":
    print(json.dumps({"otel": otel, "native": native, "logfire": logfire, "ddtrace": ddtrace}[LIBRARY]()))
