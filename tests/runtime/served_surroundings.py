"""``uvicorn --factory served_surroundings:app``: a model that takes its time to load, beside a queue."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mlmon_sidecar import MonitorMiddleware, model_loading, watch_queue

SLEEP = 0.3
HOLD: dict[str, asyncio.Event] = {}


async def score(request: Request) -> Response:
    body = await request.json()
    if request.headers.get("x-hold"):
        HOLD["open"] = asyncio.Event()
        await HOLD["open"].wait()
    if request.headers.get("x-fail"):
        return JSONResponse({"error": "theirs"}, 503)
    rows: list[Any] = body["instances"]
    return JSONResponse({"predictions": [0.5] * len(rows)})


async def release(request: Request) -> Response:
    HOLD.pop("open").set()
    return Response()


async def health(request: Request) -> Response:
    return Response()


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    with model_loading("loans"):
        await asyncio.sleep(SLEEP)
    watch_queue("waiting", lambda: 4)
    yield


def app() -> Starlette:
    routes = [
        Route("/score", score, methods=["POST"]),
        Route("/release", release, methods=["POST"]),
        Route("/health", health),
    ]
    made = Starlette(routes=routes, lifespan=lifespan)
    made.add_middleware(MonitorMiddleware)
    return made
