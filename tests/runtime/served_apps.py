"""Applications that the tests of this folder serve: ``uvicorn --factory served_apps:NAME``.

``bare`` is the application alone, ``monitored`` the same with the middleware as the documentation mounts it,
``wrapped`` the same inside the middleware, ``traced`` the same behind tracing that the application brings itself.
"""

import json
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import BaseModel

from mlmon_sidecar import MonitorMiddleware, annotate


class Applicant(BaseModel):
    income: float
    loan: float
    region: str | None = None
    note: str | None = None
    tx: str | None = None


def bare() -> FastAPI:  # noqa: C901 - a list of small handlers
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/score")
    async def score(applicant: Applicant) -> dict[str, float | str]:
        """Higher with the income, lower with the loan, from 0 to 1."""
        probability = applicant.income / (applicant.income + 4 * applicant.loan)
        return {"score": probability, "prediction": "repaid" if probability >= 0.5 else "defaulted"}

    @app.post("/constant")
    async def constant(applicant: Applicant) -> dict[str, float | str]:
        return {"score": 0.5, "prediction": "repaid"}

    @app.post("/lenient")
    async def lenient(request: Request) -> dict[str, float]:
        """Answers whatever the body is."""
        await request.body()
        return {"score": 0.5}

    @app.post("/two")
    async def two(request: Request) -> dict[str, list[float]]:
        await request.body()
        return {"score": [0.1, 0.2]}

    @app.post("/raise")
    async def fail() -> None:
        raise LookupError("theirs")

    @app.post("/text")
    async def text(applicant: Applicant) -> Response:
        return PlainTextResponse("0.5")

    @app.post("/stream")
    async def stream(applicant: Applicant) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            for number in range(20):
                yield b'{"score":%d}\n' % number

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    @app.post("/annotated")
    async def annotated(applicant: Applicant) -> dict[str, str]:
        annotate(features={"age": 41}, prediction="repaid", confidence=0.75, segment="async")
        return {"answer": "done"}

    @app.post("/annotated-sync")
    def annotated_sync(applicant: Applicant) -> dict[str, str]:
        annotate(features={"age": 42}, prediction="defaulted", confidence=0.25, segment="sync")
        return {"answer": "done"}

    @app.api_route("/health", methods=["GET", "POST"])
    async def health() -> str:
        return "well"

    @app.get("/pid")
    async def pid() -> int:
        return os.getpid()

    @app.get("/threads")
    async def threads() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate())

    return app


def monitored() -> FastAPI:
    app = bare()
    app.add_middleware(MonitorMiddleware, strict=os.environ.get("TEST_STRICT") == "yes")
    return app


def personal() -> FastAPI:
    """Hands the personal values it is sent to every place an application may put them."""
    app = bare()

    @app.post("/refuse")
    async def refuse(request: Request) -> None:
        raise LookupError((await request.body()).decode())

    @app.post("/echo-error")
    async def echo_error(request: Request) -> Response:
        return PlainTextResponse(await request.body(), status_code=422)

    @app.post("/chat/{who}")
    async def chat(request: Request, who: str) -> Response:
        said = (await request.json())["messages"][0]["content"]

        async def events() -> AsyncIterator[str]:
            for part in (f"to {who}: ", said):
                yield f"data: {json.dumps({'choices': [{'delta': {'content': part}}]})}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    @app.post("/told")
    async def told(request: Request) -> dict[str, str]:
        said = await request.json()
        annotate(
            features={"contact": said["feature"]}, prediction=said["class"], confidence=0.75, segment=said["segment"]
        )
        return {"answer": "done"}

    app.add_middleware(MonitorMiddleware)
    return app


def wrapped() -> MonitorMiddleware:
    """The outermost, so that the application can tell how it is."""
    app = bare()
    monitor = MonitorMiddleware(app, strict=os.environ.get("TEST_STRICT") == "yes")

    @app.get("/degraded")
    async def degraded() -> str:
        return monitor.degraded

    return monitor


def metered() -> FastAPI:
    """Exports its metrics itself, once an hour, and for the last time when it ends."""
    from opentelemetry import metrics
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    exporter = OTLPMetricExporter(endpoint=os.environ["TEST_TAP"] + "/v1/metrics")
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(exporter, 3_600_000)]))
    return monitored()


def traced() -> FastAPI:
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=os.environ["TEST_TAP"] + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=200))
    trace.set_tracer_provider(provider)
    tracer = trace.get_tracer("application")
    app = monitored()

    @app.middleware("http")
    async def tracing(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        with tracer.start_as_current_span(f"handling {request.url.path}"):
            return await call_next(request)

    return app
