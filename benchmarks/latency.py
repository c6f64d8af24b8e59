"""What the monitor adds to the answers' times of a server with one core: ``python benchmarks/latency.py``.

The server (uvicorn, a raw ASGI application that parses its body and answers) has one core to itself, the load and
``mlmon hub`` share the other. Requests leave at their times whether or not earlier ones were answered, and a time
counts from when the request was due. Each round measures every variant in turn, each in a server of its own, and
compares it with the round's unmonitored server; the medians over all rounds are printed. Where it may, the load goes
before the hub on their core (nice -15): a load that is late itself would be taken for a late answer.

Beside the p99 of all answers stands that of the seconds, the median of each second's own: other work on the machine
falls into some seconds, the monitor's into all.

Variants: ``none``; ``naive``, a middleware that keeps both bodies and a thread that does all the monitor's work on what
came in half a second at once; ``thread``, the monitor as it is installed; ``raw`` (with ``--raw``), the monitor that
ships the exchanges to the hub as they are.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from recorded_traffic import JSON, MODEL, OPTIONS, REDACTOR, baseline_of, rows_of

ROWS, FEATURES = 16, 50
CONNECTIONS = 8
LOAD_NICE = -15
WARM_SECONDS = 1.5
NAIVE_SECONDS = 0.5
SETTINGS = """
store = "sqlite:///{folder}/mlmon.db"
[hub]
url = "unix://{folder}/hub.sock"
{ship}
[models.{model}]
routes = ["POST /score"]
baseline = "{folder}/baseline.json"
[models.{model}.prediction]
kind = "binary"
positive = "a"
"""
Message = MutableMapping[str, Any]
Receive, Send = Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]


# ---------------------------------------------------------------- the server


async def score(scope: Message, receive: Receive, send: Send) -> None:
    """One score for each row."""
    if scope["type"] == "lifespan":
        for said in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{said}.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = orjson.dumps([{"score": abs(row["x0"] * 997.0) % 1.0} for row in orjson.loads(body)])
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": answer})


class Naive:
    """Both bodies into a list; a thread that decodes, counts and redacts all of it every half second."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._kept: list[tuple[Any, ...]] = []
        threading.Thread(target=self._work, daemon=True).start()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        asked: list[bytes] = []
        answered: list[bytes] = []
        begun = time.monotonic_ns()

        async def receiving() -> Message:
            message = await receive()
            asked.append(message.get("body", b""))
            return message

        async def sending(message: Message) -> None:
            answered.append(message.get("body", b""))
            await send(message)

        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        await self._app(scope, receiving, sending)
        self._kept.append((begun, time.monotonic_ns(), b"".join(asked), b"".join(answered)))

    def _work(self) -> None:
        import uuid_utils

        from mlmon_sidecar.aggregate.panes import PaneBuilder
        from mlmon_sidecar.clock import SystemClock
        from mlmon_sidecar.decode.batch import decode
        from mlmon_sidecar.records import End, Exchange

        clock, builder = SystemClock(), PaneBuilder(baseline_of(FEATURES).layout, REDACTOR.category)
        while True:
            time.sleep(NAIVE_SECONDS)
            kept, self._kept = self._kept, []
            exchanges = [
                Exchange(
                    str(uuid_utils.uuid7()), MODEL, "POST", "/score", begun, ended, ended, 200, End.COMPLETE, "",
                    JSON, (asked,), len(asked), JSON, (answered,), len(answered), 0, 0, False, (),
                )
                for begun, ended, asked, answered in kept
            ]  # fmt: skip
            for batch in decode(exchanges, OPTIONS, clock.unix_at).batches:
                builder.add_batch(batch)
                REDACTOR.redact_batch(batch, frozenset(), [True] * batch.rows)


def serve(variant: str, port: int, core: int, config: str) -> None:
    """Run the server in this process, which has one core from here on."""
    os.sched_setaffinity(0, {core})
    import uvicorn

    app: Any = score
    if variant == "naive":
        app = Naive(score)
    elif variant != "none":
        from mlmon_sidecar import MonitorMiddleware

        app = MonitorMiddleware(score, config=config)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


# ---------------------------------------------------------------- the load


class Load:
    """Requests at their times over a few connections that stay open."""

    def __init__(self, port: int, rate: float, seconds: float, seed: int) -> None:
        self._port, self._rate, self._seconds = port, rate, seconds
        bodies = [orjson.dumps(rows_of(ROWS, FEATURES, seed + at)) for at in range(32)]
        self.body_bytes = len(bodies[0])
        self._requests = [
            b"POST /score HTTP/1.1\r\nhost: benchmark\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            % (len(body), body)
            for body in bodies
        ]
        self._chance = random.Random(seed)
        self.answered = 0

    async def run(self) -> list[tuple[int, float]]:
        """(second, ms) of each answer after the warm-up, from the moment its request was due."""
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            idle.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        taken: list[tuple[int, float]] = []
        asking: list[asyncio.Task[None]] = []
        begun = time.perf_counter()
        due = begun
        while due < begun + WARM_SECONDS + self._seconds:
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            warm = due > begun + WARM_SECONDS
            asking.append(asyncio.create_task(self._ask(idle, due, int(due - begun), taken if warm else [])))
            due += self._chance.expovariate(self._rate)  # as independent callers come
        await asyncio.gather(*asking)
        while not idle.empty():
            idle.get_nowait()[1].close()
        return taken

    async def _ask(
        self,
        idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
        due: float,
        second: int,
        taken: list[tuple[int, float]],
    ) -> None:
        reader, writer = await idle.get()
        writer.write(self._requests[self._chance.randrange(len(self._requests))])
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        taken.append((second, 1000 * (time.perf_counter() - due)))
        self.answered += 1
        idle.put_nowait((reader, writer))


# ---------------------------------------------------------------- one round


@contextmanager
def process(*command: str, core: int) -> Iterator[subprocess.Popen[bytes]]:
    def place() -> None:
        os.sched_setaffinity(0, {core})
        os.setpriority(os.PRIO_PROCESS, 0, 0)

    started = subprocess.Popen(command, preexec_fn=place)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def go_first() -> None:
    """This process, which is the load. Servers that it starts go back to the usual."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, LOAD_NICE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    give_up = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.05)


class Times(NamedTuple):
    """ms of one measurement."""

    p50: float
    p99: float
    p99_of_seconds: float  # the median of each second's p99


def times_of(taken: list[tuple[int, float]]) -> Times:
    seconds: dict[int, list[float]] = {}
    for second, ms in taken:
        seconds.setdefault(second, []).append(ms)
    whole = [times for times in seconds.values() if len(times) > 20]
    every = [ms for _, ms in taken]
    typical = statistics.median(percentile(times, 99) for times in whole)
    return Times(percentile(every, 50), percentile(every, 99), typical)


def measured(variant: str, said: argparse.Namespace, folder: Path, seed: int) -> tuple[Times, int]:
    """The answers of one variant's server after the warm-up, and how many there were in all."""
    config, port = folder / f"{variant}.toml", free_port()
    with process(
        sys.executable, __file__, "--serve", variant, "--port", str(port), "--config", str(config),
        "--server-core", str(said.server_core), core=said.server_core,
    ):  # fmt: skip
        wait_for(port)
        load = Load(port, said.rate, said.seconds, seed)
        if seed == 1:
            print(f"  {variant:<7} bodies of {load.body_bytes:,} bytes", file=sys.stderr)
        return times_of(asyncio.run(load.run())), load.answered


def percentile(times: list[float], percent: int) -> float:
    return statistics.quantiles(times, n=100)[percent - 1]


def rounds(said: argparse.Namespace, folder: Path) -> tuple[dict[str, list[Times]], int]:
    """Variant to the times of each round, and how many answers the monitor has seen."""
    variants = ["none", *([] if said.only_ours else ["naive"]), "thread", *(["raw"] if said.raw else [])]
    for variant in variants:
        ship = 'ship = "raw"' if variant == "raw" else ""
        settings = SETTINGS.format(folder=folder, model=MODEL, ship=ship)
        (folder / f"{variant}.toml").write_text(settings)
    baseline_of(FEATURES).save(folder / "baseline.json")
    found: dict[str, list[Times]] = {variant: [] for variant in variants}
    seen = 0
    with process(
        sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", str(folder / f"{variants[-1]}.toml"),
        core=said.load_core,
    ):  # fmt: skip
        for number in range(said.rounds):
            order = variants[number % len(variants) :] + variants[: number % len(variants)]
            if number == 0:
                go_first()
            for variant in order:
                times, answered = measured(variant, said, folder, number + 1)
                seen += answered if variant in ("thread", "raw") else 0
                found[variant].append(times)
            line = "  ".join(f"{name} {found[name][-1].p50:.2f}/{found[name][-1].p99:.2f}" for name in variants)
            print(f"round {number + 1}: p50/p99 ms  {line}", flush=True)
    return found, seen


def stored(folder: Path) -> dict[str, int]:
    """What the hub has counted."""
    with closing(sqlite3.connect(folder / "mlmon.db")) as db:
        return dict(db.execute("SELECT name, value FROM counters"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement, after a warm-up")
    parser.add_argument("--rate", type=float, default=300.0, help="requests a second")
    parser.add_argument("--raw", action="store_true", help='also the monitor with ship = "raw"')
    parser.add_argument("--only-ours", action="store_true", help="without the naive one")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    parser.add_argument("--serve", help=argparse.SUPPRESS)  # the server itself, in a process of its own
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--config", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.serve:
        serve(said.serve, said.port, said.server_core, said.config)
        return
    os.sched_setaffinity(0, {said.load_core})
    with tempfile.TemporaryDirectory(prefix="mlmon-latency-") as directory:
        found, seen = rounds(said, Path(directory))
        counters = stored(Path(directory))
    bare = found.pop("none")
    print(f"none:   {spoken(bare)}")
    for name, figures in found.items():
        added = [Times(*map(float.__sub__, ours, theirs)) for ours, theirs in zip(figures, bare, strict=True)]
        print(f"{name + ':':<7} {spoken(figures)}   added: {spoken(added)} (median of {len(bare)} paired rounds)")
    kept, lost = counters.get("rows.kept", 0), sum(n for name, n in counters.items() if ".dropped." in name)
    print(f"recorded {kept:,} rows of {seen:,} monitored requests of {ROWS} rows; {lost:,} counted as lost")


def spoken(figures: list[Times]) -> str:
    p50, p99, of_seconds = (statistics.median(column) for column in zip(*figures, strict=True))
    return f"p50 {p50:6.2f}  p99 {p99:6.2f}  p99 of seconds {of_seconds:6.2f} ms"


if __name__ == "__main__":
    main()
