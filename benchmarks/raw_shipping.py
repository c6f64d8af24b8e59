"""What a request costs the serving process: unmonitored, with the recorder's thread in it, and shipping raw.

``python benchmarks/raw_shipping.py``: three uvicorn processes side by side, the last two with an ``mlmon hub`` of their
own, take turns with the same requests at one rate. Told is the processor time of the serving process alone, all its
threads, per request; median and least of the rounds, less what the unmonitored one needs.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil

ROUNDS = 4
REQUESTS = 500  # a round and payload
RATE = 300.0  # a second
SETTLE_SECONDS = 1.5  # what was captured last is worked on as well
MODES = ("none", "panes", "raw")

APP = """
import os
ANSWER = b'{"score":0.73}'
HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(ANSWER))]}
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(dict(HEAD))
    await send({"type": "http.response.body", "body": ANSWER})
if os.environ["MODE"] != "none":
    from mlmon_sidecar import MonitorMiddleware
    app = MonitorMiddleware(app)
"""
PAYLOADS = {
    "row": json.dumps({f"feature_{n}": n * 1.25 for n in range(10)}).encode(),
    "batch": json.dumps({"instances": [[n * 0.731 + row for n in range(50)] for row in range(16)]}).encode(),
}


class Serving:
    """One mode: its server, and the hub it needs."""

    def __init__(self, folder: Path, mode: str, stack: ExitStack) -> None:
        self.mode = mode
        folder.mkdir()
        (folder / "served.py").write_text(APP)
        (folder / "mlmon.toml").write_text(
            f'store = "sqlite:///{folder}/mlmon.db"\n[hub]\nurl = "unix://{folder}/hub.sock"\n'
            f'ship = "{"raw" if mode == "raw" else "panes"}"\n[models.m]\n'
        )
        if mode != "none":
            command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", str(folder / "mlmon.toml")]
            start(stack, command, folder, mode)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "served:app", "--app-dir", str(folder), "--port", str(self.port)]
        command += ["--no-access-log", "--log-level", "warning", "--lifespan", "off"]
        self.process = psutil.Process(start(stack, command, folder, mode).pid)
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port)
        for _ in range(300):
            try:
                self.connection.connect()
                return
            except OSError:
                time.sleep(0.1)
        raise SystemExit(f"the {mode} server does not start")

    def cpu_us(self, body: bytes, requests: int) -> float:
        """Processor time of the server for each of so many requests."""
        self.connection.close()  # the server has closed what was idle
        before = sum(self.process.cpu_times()[:2])
        begun = time.monotonic()
        for number in range(requests):
            time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
            self.connection.request("POST", "/score", body, {"content-type": "application/json"})
            assert self.connection.getresponse().read() == b'{"score":0.73}'
        time.sleep(SETTLE_SECONDS)
        return (sum(self.process.cpu_times()[:2]) - before) / requests * 1e6


def start(stack: ExitStack, command: list[str], folder: Path, mode: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "MODE": mode}
    process = subprocess.Popen(command, cwd=folder, env=environ)
    stack.callback(process.wait)
    stack.callback(process.send_signal, signal.SIGTERM)
    return process


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = [Serving(Path(folder) / mode, mode, stack) for mode in MODES]
        for server in servers:
            server.cpu_us(PAYLOADS["row"], 200)  # libraries load, sizes of steps are learnt
        time.sleep(3)
        found: dict[tuple[str, str], list[float]] = {}
        for number in range(ROUNDS):
            for name, body in PAYLOADS.items():
                for server in servers if number % 2 else reversed(servers):
                    found.setdefault((name, server.mode), []).append(server.cpu_us(body, REQUESTS))
        print(f"{'payload':8} {'bytes':>6} {'unmonitored':>12} {'thread adds':>12} {'raw adds':>12}   us a request")
        for kind, of in (("median", statistics.median), ("least", min)):
            for name, body in PAYLOADS.items():
                none, panes, raw = (of(found[name, mode]) for mode in MODES)
                print(f"{name:8} {len(body):6} {none:12.0f} {panes - none:12.0f} {raw - none:12.0f}   {kind}")
        for server in servers:
            print(f"{server.mode:8} {server.process.memory_info().rss / 1e6:.0f} MB resident")


main()
