"""The same answers from FastAPI routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from benchmarks.overhead.traffic import PAYLOADS, Payload


def fastapi_application() -> Any:
    app = FastAPI()
    for payload in PAYLOADS.values():
        handler = _whole(payload) if len(payload.answer) == 1 else _streamed(payload)
        app.add_api_route(payload.path, handler, methods=["POST"], response_model=None)
    return app


def _whole(payload: Payload) -> Any:
    async def answer(request: Request) -> Response:
        await request.body()
        return Response(payload.answer[0], media_type=payload.media_type.decode())

    return answer


def _streamed(payload: Payload) -> Any:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in payload.answer:
            yield chunk

    async def answer(request: Request) -> StreamingResponse:
        await request.body()
        return StreamingResponse(chunks(), media_type=payload.media_type.decode())

    return answer
