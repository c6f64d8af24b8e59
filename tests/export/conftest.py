"""Collectors to export to: a real receiver nobody here wrote, one that shows raw requests, and dead ones."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from mlmon_sidecar.export.options import ExportOptions, ExportSettings

ARRIVAL_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Tap:
    """oteltap in a thread of its own; everything that arrived, in order."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.arrived: dict[str, list[Any]] = {"metrics": [], "logs": [], "spans": []}
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._receiver = OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(http_port=port))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._open())

    def wait(self, signal: str, wanted: Callable[[Any], bool]) -> Any:
        """The first message that is as wanted, now or soon."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self.arrived[signal])), ARRIVAL_SECONDS), signal
            return next(filter(wanted, self.arrived[signal]))

    def metric(self, name: str, number: int = 0) -> Any:
        """The metric of that name in the export of that number."""
        with self._changed:
            named = lambda: [m for m in self.arrived["metrics"] if m.name == name]  # noqa: E731  # read again each time
            assert self._changed.wait_for(lambda: len(named()) > number, ARRIVAL_SECONDS), name
            return named()[number]

    def close(self) -> None:
        self._do(self._receiver.stop())
        self._do(asyncio.wait(self._readers))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ARRIVAL_SECONDS)

    async def _open(self) -> None:
        await self._receiver.start()
        streams = {
            "metrics": self._receiver.stream_metrics(),
            "logs": self._receiver.stream_logs(),
            "spans": self._receiver.stream_traces(),
        }
        self._readers = [asyncio.create_task(self._read(signal, stream)) for signal, stream in streams.items()]
        await asyncio.sleep(0)  # every reader has subscribed

    async def _read(self, signal: str, stream: Any) -> None:
        async for message in stream:
            with self._changed:
                self.arrived[signal].append(message)
                self._changed.notify_all()


class Request(NamedTuple):
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class RawCollector:
    """Answers every request with the next status (the last one for ever) and keeps it."""

    def __init__(self) -> None:
        self.statuses = [200]
        self.headers: dict[str, str] = {}  # of every answer
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append(Request(self.path, headers, body))
                status = outer.statuses.pop(0) if len(outer.statuses) > 1 else outer.statuses[0]
                self.send_response(status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class BlackHole:
    """The kernel accepts connections, and nobody ever answers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def close(self) -> None:
        self._socket.close()


class StandingClock:
    """Time that moves when told to."""

    def __init__(self, unix_ns: int = 1_700_000_000_000_000_000) -> None:
        self.now_ns = unix_ns
        self.tick_ns = 0

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)
        self.tick_ns += int(seconds * 1e9)

    def monotonic_ns(self) -> int:
        return self.tick_ns

    def unix_ns(self) -> int:
        return self.now_ns

    def unix_at(self, monotonic_ns: int) -> int:
        return self.now_ns + monotonic_ns - self.tick_ns


@pytest.fixture
def tap() -> Iterator[Tap]:
    receiver = Tap()
    yield receiver
    receiver.close()


@pytest.fixture
def raw() -> Iterator[RawCollector]:
    collector = RawCollector()
    yield collector
    collector.close()


@pytest.fixture
def black_hole() -> Iterator[BlackHole]:
    hole = BlackHole()
    yield hole
    hole.close()


@pytest.fixture
def refused() -> str:
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def options_for() -> Callable[..., ExportOptions]:
    """Options for one endpoint, with settings and variables on top. The hour's interval never comes round by itself."""

    def make(endpoint: str, environ: dict[str, str] | None = None, **settings: Any) -> ExportOptions:
        said = {"interval_seconds": 3600.0, **settings}
        quiet = {"OTEL_BLRP_SCHEDULE_DELAY": "3600000", **(environ or {})}
        return ExportOptions.from_environment(ExportSettings(endpoint=endpoint, **said), quiet)

    return make
