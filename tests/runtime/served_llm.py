"""A language model's server that knows its own times: OpenAI's dialect, streamed, with a usage chunk."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from mlmon_sidecar import MonitorMiddleware

CHUNKS = 200  # of content
PROMPT_TOKENS = 17
THINKING_SECONDS = 0.02


class Truth:
    """Before everything else, the monitor included: when requests arrived, and when the first content was given."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.arrived_ns = 0
        self.first_ns: dict[str, int] = {}  # response id -> from arrival to the first content

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.arrived_ns = time.monotonic_ns()  # requests come one by one here
        await self.app(scope, receive, send)


def language_model() -> Truth:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    truth = Truth(MonitorMiddleware(app))

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> StreamingResponse:
        body = await request.json()
        return StreamingResponse(
            stream(body["user"], body["max_tokens"], body.get("word", "word")), media_type="text/event-stream"
        )

    async def stream(number: str, tokens: int, word: str) -> AsyncIterator[bytes]:
        name = f"chatcmpl-{number}"
        yield event(name, [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        await asyncio.sleep(THINKING_SECONDS)
        for at in range(CHUNKS):
            chunk = event(name, [{"index": 0, "delta": {"content": f"{word}{at} "}, "finish_reason": None}])
            if at == 0:
                truth.first_ns[name] = time.monotonic_ns() - truth.arrived_ns
            yield chunk
            await asyncio.sleep(0)
        yield event(name, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": tokens, "total_tokens": PROMPT_TOKENS + tokens}
        yield event(name, [], usage=usage)
        yield b"data: [DONE]\n\n"

    @app.get("/truth")
    async def told() -> dict[str, int]:
        return truth.first_ns

    @app.get("/health")
    async def health() -> str:
        return "well"

    return truth


def event(name: str, choices: list[Any], **more: Any) -> bytes:
    document = {"id": name, "object": "chat.completion.chunk", "model": "tiny-1b", "choices": choices, **more}
    return b"data: " + json.dumps(document).encode() + b"\n\n"
