"""What a broken collector costs the application, measured: ``python tests/runtime/dead_collectors_program.py``.

One application in this process, as a server would call it; every prediction is also a log record. Prints a line for
each fault and protocol, and one for a collector that is well.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import psutil
from collector_faults import FAULTS, GRPC, HTTP, Fault, well

from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.export.lane import MAX_QUEUE_BYTES
from mlmon_sidecar.runtime.process import STOP_SECONDS

QUEUE = 200  # log records that may wait
INTERVAL_SECONDS = 0.2
Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]


class Measured(NamedTuple):
    answers: list[Answer]  # the header with the prediction's id left out
    held_events: int  # the most there ever were
    held_bytes: int
    grown_bytes: int  # resident memory over the second half of the requests
    stop_seconds: float
    in_time: bool  # our end was over, and all of it counted, when the server learnt of the application's
    sent: int  # predictions, each a log record
    taken: int  # records the collector took
    counted: dict[str, int]  # what the process counted of it: failures and drops by their reason


async def score(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    row = json.loads((await receive())["body"])
    body = json.dumps({"prediction": row["a"] > 50, "score": row["a"] / 100}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer(app: Any, number: int) -> Answer:
    body = json.dumps({"a": number % 100}).encode()
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/score", "headers": headers, "asgi": {"version": "3.0"}}
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    kept = tuple(pair for pair in start["headers"] if pair[0] != b"x-mlmon-prediction-id")
    return start["status"], kept, b"".join(message["body"] for message in rest)


def configured(folder: Path, url: str, protocol: str) -> MonitorMiddleware:
    path = folder / "mlmon.toml"
    path.write_text(
        f"""
        store = "sqlite:///{folder}/mlmon.db"
        flush_interval_seconds = 0.1
        [models.m]
        [export]
        endpoint = "{url}"
        protocol = "{protocol}"
        interval_seconds = {INTERVAL_SECONDS}
        prediction_logs = 1.0
        """
    )
    return MonitorMiddleware(score, config=path, strict=True)


async def _until(there: Callable[[], bool]) -> None:
    """What other threads do."""
    while not there():  # noqa: ASYNC110  # they tell nobody
        await asyncio.sleep(0.01)


async def measured(folder: Path, url: str, protocol: str, requests: int, records: list[str]) -> Measured:
    """An application from its start to its end. ``OTEL_*`` variables are the caller's to set."""
    app = configured(folder, url, protocol)
    process = app._process
    assert process is not None
    telemetry, faults, told, begun = process.telemetry, process.faults, asyncio.Queue[str](), asyncio.Event()

    async def hear() -> Any:
        return {"type": await told.get()}

    async def say(message: Any) -> None:
        begun.set()

    life = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, hear, say))
    await told.put("lifespan.startup")
    await begun.wait()
    await _until(lambda: process._worker is not None)
    assert process._worker is not None
    exporter, answers, held, memory = process._worker.exporter, [], (0, 0), psutil.Process().memory_info
    begun_with = 0
    for number in range(requests):
        answers.append(await answer(app, number))
        if number % 20 == 0:
            await asyncio.sleep(0.02)
            held = max(held, exporter.held)
        if number == requests // 2:
            begun_with = memory().rss
    grown = memory().rss - begun_with
    await _until(lambda: telemetry.snapshot().get("exchanges.decoded", 0) == requests)
    held = max(held, exporter.held)
    before = time.monotonic()
    await told.put("lifespan.shutdown")
    await life
    seconds = time.monotonic() - before
    in_time = not any(component == "on_stopping" for component, _ in faults.snapshot())
    counted = {
        name: count
        for name, count in telemetry.snapshot().items()
        if name.startswith(("events.dropped.", "export.failures."))
    }
    return Measured(answers, *held, grown, seconds, in_time, requests, len(records), counted)


def measure(fault: Fault, protocol: str, folder: Path, requests: int) -> Measured:
    with fault(protocol, folder) as place:
        return asyncio.run(measured(folder, place.url, protocol, requests, place.records))


def main() -> None:
    import os

    os.environ |= {"OTEL_BLRP_MAX_QUEUE_SIZE": str(QUEUE), "OTEL_BLRP_SCHEDULE_DELAY": "100"}
    requests = 2000
    print(f"{requests} requests each; a queue of {QUEUE} records and {MAX_QUEUE_BYTES >> 20} MiB; {STOP_SECONDS} s")
    print(f"{'collector':26}{'protocol':15}{'equal':>6}{'held':>6}{'KiB':>5}{'grown KiB':>10}{'stop s':>7}  counted")
    expected = asyncio.run(_bare(requests))
    for fault in (well, *FAULTS):
        for protocol in (HTTP, GRPC):
            with TemporaryDirectory() as folder:
                found = measure(fault, protocol, Path(folder), requests)
            equal = "all" if found.answers == expected else "NO"
            print(
                f"{fault.__name__:26}{protocol:15}{equal:>6}{found.held_events:6}{found.held_bytes >> 10:5}"
                f"{found.grown_bytes >> 10:10}{found.stop_seconds:7.2f}  taken {found.taken}, {found.counted}",
                flush=True,
            )


async def _bare(requests: int) -> list[Answer]:
    return [await answer(score, number) for number in range(requests)]


if __name__ == "__main__":
    main()
