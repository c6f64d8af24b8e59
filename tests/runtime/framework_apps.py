"""The same small model server in several frameworks; ``monitor`` holds the middleware's keywords, or None for none.

Routes: ``POST /score`` echoes the sum of its numbers, ``POST /stream`` answers in parts, ``POST /fail`` raises,
``GET /health`` is not a prediction.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse as FastAPIStream
from litestar import Litestar, get, post
from litestar.middleware import DefineMiddleware
from litestar.response import Stream
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from mlmon_sidecar import MonitorMiddleware

Monitor = dict[str, Any] | None


class Theirs(Exception):
    pass


async def parts() -> AsyncIterator[bytes]:
    for number in range(5):
        yield b"data: %d\n\n" % number


def starlette(monitor: Monitor) -> Any:
    async def score(request: Request) -> JSONResponse:
        return JSONResponse({"score": sum(await request.json())}, headers={"x-own": "1"})

    async def stream(request: Request) -> StreamingResponse:
        await request.body()
        return StreamingResponse(parts(), media_type="text/event-stream")

    async def fail(request: Request) -> PlainTextResponse:
        raise Theirs

    async def health(request: Request) -> PlainTextResponse:
        return PlainTextResponse("well")

    routes = [Route(path, call, methods=["POST"]) for path, call in [("/score", score), ("/stream", stream)]]
    routes += [Route("/fail", fail, methods=["POST"]), Route("/health", health)]
    return Starlette(routes=routes, middleware=[Middleware(MonitorMiddleware, **monitor)] if monitor else [])


def fastapi(monitor: Monitor) -> Any:
    app = FastAPI(openapi_url=None)

    @app.post("/score")
    def score(numbers: list[float]) -> dict[str, float]:
        """In one of the framework's threads."""
        return {"score": sum(numbers)}

    @app.post("/stream")
    async def stream(numbers: list[float]) -> FastAPIStream:
        return FastAPIStream(parts(), media_type="text/event-stream")

    @app.post("/fail")
    async def fail() -> None:
        raise Theirs

    @app.get("/health")
    async def health() -> str:
        return "well"

    if monitor:
        app.add_middleware(MonitorMiddleware, **monitor)
    return app


def litestar(monitor: Monitor) -> Any:
    @post("/score", sync_to_thread=False)
    def score(data: list[float]) -> dict[str, float]:
        return {"score": sum(data)}

    @post("/stream")
    async def stream(data: list[float]) -> Stream:
        return Stream(parts(), media_type="text/event-stream")

    @post("/fail")
    async def fail() -> None:
        raise Theirs

    @get("/health", sync_to_thread=False)
    def health() -> str:
        return "well"

    chosen: list[Any] = [DefineMiddleware(MonitorMiddleware, **monitor)] if monitor else []
    return Litestar([score, stream, fail, health], middleware=chosen, openapi_config=None, logging_config=None)


def quart(monitor: Monitor) -> Any:
    from quart import Quart, request

    app = Quart("model")

    @app.post("/score")
    async def score() -> dict[str, float]:
        return {"score": sum(await request.get_json())}

    @app.post("/stream")
    async def stream() -> Any:
        await request.get_data()
        return parts(), 200, {"content-type": "text/event-stream"}

    @app.post("/fail")
    async def fail() -> str:
        raise Theirs

    @app.get("/health")
    async def health() -> str:
        return "well"

    if monitor:
        app.asgi_app = MonitorMiddleware(app.asgi_app, **monitor)
    return app


def django(monitor: Monitor) -> Any:
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None, SECRET_KEY="x" * 50)
    from django.core.asgi import get_asgi_application

    app = get_asgi_application()
    return MonitorMiddleware(app, **monitor) if monitor else app


def django_routes() -> list[Any]:
    from django.http import HttpResponse, JsonResponse
    from django.http import StreamingHttpResponse as DjangoStream
    from django.urls import path

    async def score(request: Any) -> Any:
        return JsonResponse({"score": sum(json.loads(request.body))})

    async def stream(request: Any) -> Any:
        return DjangoStream(parts(), content_type="text/event-stream")

    def fail(request: Any) -> Any:
        raise Theirs

    def health(request: Any) -> Any:
        return HttpResponse("well")

    return [path("score", score), path("stream", stream), path("fail", fail), path("health", health)]


def __getattr__(name: str) -> Any:
    """Django looks for ``urlpatterns`` in its root module, once it is configured."""
    if name == "urlpatterns":
        return django_routes()
    raise AttributeError(name)


def wrapped(monitor: Monitor) -> Any:
    app = starlette(None)
    return MonitorMiddleware(app, **monitor) if monitor else app


def mounted(monitor: Monitor) -> Any:
    """In a sub-application, to which no lifespan comes; the outer one has the same paths."""
    return Starlette(routes=[Mount("/", app=wrapped(monitor))])


def twice(monitor: Monitor) -> Any:
    """Wrapped, and added inside: each exchange is captured once."""
    app = starlette(monitor)
    return MonitorMiddleware(app, **monitor) if monitor else app


FRAMEWORKS: dict[str, Callable[[Monitor], Any]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "litestar": litestar,
    "quart": quart,
    "django": django,
    "wrapped": wrapped,
    "mounted": mounted,
    "twice": twice,
}


def from_environment() -> Any:
    """For servers that are started as programs: ``TEST_FRAMEWORK``, and ``TEST_STORE`` where it is monitored."""
    store = os.environ.get("TEST_STORE")
    keywords = {"model": "sums", "store": store, "prediction_id_header": None, "endpoints": None, "strict": True}
    return FRAMEWORKS[os.environ["TEST_FRAMEWORK"]](keywords if store else None)
