"""The served applications, the requests they get, and a driver that stands where an ASGI server would."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Scope = dict[str, Any]
Message = dict[str, Any]
App = Callable[[Scope, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

CHUNKS = 200
FEATURES = 50


class Payload(NamedTuple):
    """One kind of request, and how many of them make a round."""

    name: str
    path: str
    body: bytes
    answer: tuple[bytes, ...]  # chunks
    media_type: bytes
    per_round: int


def _payloads() -> tuple[Payload, ...]:
    chance = random.Random(7)
    row = {f"x{at}": round(chance.gauss(0, 1), 6) for at in range(8)} | {"country": "PT", "channel": "app"}
    batch = [[chance.gauss(0, 1) for _ in range(FEATURES)] for _ in range(16)]
    scores = [round(chance.random(), 4) for _ in batch]
    token = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": " word"}}]}
    chat = {"stream": True, "messages": [{"role": "user", "content": "Tell me about drift."}]}
    return (
        Payload("row", "/row", _text(row), (b'{"score":0.731}',), b"application/json", 2000),
        Payload(
            "batch", "/batch", _text({"instances": batch}), (_text({"predictions": scores}),), b"application/json", 500
        ),
        Payload(
            "stream",
            "/stream",
            _text(chat),
            tuple(b"data: %s\n\n" % _text(token) for _ in range(CHUNKS)),
            b"text/event-stream",
            100,
        ),
    )


def _text(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


PAYLOADS = {payload.name: payload for payload in _payloads()}


def raw_application() -> App:
    """Reads the body and answers; nothing between it and the server."""
    by_path = {payload.path: payload for payload in PAYLOADS.values()}

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        payload = by_path[scope["path"]]
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", payload.media_type)]
        if len(payload.answer) == 1:
            headers.append((b"content-length", b"%d" % len(payload.answer[0])))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        last = len(payload.answer) - 1
        for number, chunk in enumerate(payload.answer):
            await send({"type": "http.response.body", "body": chunk, "more_body": number < last})

    return application


async def drive(app: App, payload: Payload, requests: int) -> None:
    """``requests`` requests, one after another, with fresh objects as a server makes them."""
    for _ in range(requests):
        await _request(app, payload)


class Cycle:
    """One request as a server sees it: like uvicorn's, its ``receive`` and ``send`` are bound methods."""

    def __init__(self, payload: Payload) -> None:
        self.body = payload.body
        self.received = False
        self.sent = 0
        self.over: asyncio.Future[None] | None = None  # made for who waits for it

    async def receive(self) -> Message:
        if self.received:  # the client stays until it has everything
            self.over = asyncio.get_running_loop().create_future()
            await self.over
            return {"type": "http.disconnect"}
        self.received = True
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.sent += len(message["body"])
            if self.over is not None and not message.get("more_body") and not self.over.done():
                self.over.set_result(None)


async def _request(app: App, payload: Payload) -> None:
    cycle = Cycle(payload)
    await app(_scope(payload), cycle.receive, cycle.send)
    if cycle.sent != sum(map(len, payload.answer)):
        raise RuntimeError(f"{payload.name}: {cycle.sent} bytes were answered")


def _scope(payload: Payload) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": payload.path,
        "raw_path": payload.path.encode(),
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"accept", b"*/*"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"connection", b"keep-alive"),
            (b"user-agent", b"client/1.0"),
            (b"content-length", b"%d" % len(payload.body)),
            (b"content-type", b"application/json"),
        ],
        "state": {},
    }
