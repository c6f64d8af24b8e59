from __future__ import annotations

import asyncio
import contextvars
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mlmon_sidecar.capture.annotate import annotate
from mlmon_sidecar.capture.exchange_tap import MAX_ANNOTATIONS
from mlmon_sidecar.records import Annotation

ANSWER = [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": b"{}"}]


def test_without_a_monitor_nothing_happens() -> None:
    annotate(features={"age": 3}, prediction="fraud", confidence=0.9, segment="eu")
    annotate(features=object())  # type: ignore[arg-type]


def test_rows_of_a_batch_in_an_async_handler(monitored, http_scope, wire) -> None:
    row = {"age": 1}

    async def app(scope, receive, send):
        for age in (1, 2):
            row["age"] = age  # a handler may use its mapping again
            annotate(features=row, prediction=0.5, confidence=0.9)
        await send(ANSWER[0])
        annotate(segment="eu")
        await send(ANSWER[1])
        annotate(segment="too late")

    middleware = monitored(app)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert middleware.exchange().annotations == (
        Annotation({"age": 1}, 0.5, 0.9, None),
        Annotation({"age": 2}, 0.5, 0.9, None),
        Annotation(None, None, None, "eu"),
    )
    assert middleware.capture.faults.snapshot() == {}


def test_ordinary_handlers_in_threads_concurrently(monitored, http_scope, wire) -> None:
    def score(request: Request) -> JSONResponse:  # run by the framework in a thread
        annotate(features={"path": request.url.path})
        return JSONResponse({})

    middleware = monitored(Starlette(routes=[Route("/{name}", score, methods=["POST"])]))
    connections = [wire() for _ in range(20)]

    async def main() -> None:
        calls = (
            middleware(http_scope(f"/r{number}", query_string=b"", server=("127.0.0.1", 80)), one.receive, one.send)
            for number, one in enumerate(connections)
        )
        await asyncio.gather(*calls)

    asyncio.run(main())
    exchanges = middleware.drained()
    assert len(exchanges) == 20
    for exchange in exchanges:
        assert exchange.annotations == (Annotation({"path": exchange.path}, None, None, None),)


def test_what_cannot_be_taken_is_counted_and_never_raised(monitored, http_scope, wire) -> None:
    class Hostile(dict[str, Any]):
        def __iter__(self) -> Any:
            raise RuntimeError

        keys = __iter__

    async def app(scope, receive, send):
        annotate(features=7)
        annotate(features=Hostile(a=1))
        for number in range(MAX_ANNOTATIONS + 3):
            annotate(prediction=number)
        for message in ANSWER:
            await send(message)

    middleware = monitored(app)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert connection.sent[1] is ANSWER[1]
    assert len(middleware.exchange().annotations) == MAX_ANNOTATIONS
    assert middleware.capture.faults.snapshot() == {
        ("annotate", "TypeError"): 1,
        ("annotate", "RuntimeError"): 1,
        ("annotate", "TooManyAnnotations"): 3,
    }


def test_a_task_left_behind_says_nothing_and_keeps_no_body(monitored, http_scope, wire) -> None:
    context: contextvars.Context | None = None

    async def app(scope, receive, send):
        nonlocal context
        context = contextvars.copy_context()
        await receive()
        for message in ANSWER:
            await send(message)

    middleware = monitored(app)
    connection = wire()
    asyncio.run(middleware(http_scope(), connection.receive, connection.send))
    assert context is not None
    context.run(annotate, segment="late")
    assert middleware.exchange().annotations == ()
    (left,) = [value for variable, value in context.items() if variable.name == "mlmon_exchange"]
    assert (left._request, left._response, left._annotations, left._scope) == (b"", b"", [], None)
