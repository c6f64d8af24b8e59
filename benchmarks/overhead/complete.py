"""Our middleware with everything on: baselines, kept rows, redaction, panes, SQLite, OTLP to a live receiver."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sqlite3
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.overhead.traffic import FEATURES, App
from benchmarks.overhead.variants import Sent, Variant, expect
from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor

SOON_SECONDS = 60.0
NAMES = tuple(f"x{at}" for at in range(FEATURES))


class Complete(Variant):
    """Rounds end when the last row is in SQLite and the figures are at the receiver: one flush and one export each."""

    works_behind = True

    def wrap(self, app: Any) -> App:
        self._folder = tempfile.TemporaryDirectory(prefix="mlmon-overhead-")
        folder = Path(self._folder.name)
        _save_baseline(folder / "row.json", "row", 8, categorical=True)
        _save_baseline(folder / "batch.json", "batch", FEATURES, categorical=False)
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            port = int(probe.getsockname()[1])
        self._told, child = get_context("spawn").Pipe()
        self._receiver = get_context("spawn").Process(target=receive_metrics, args=(port, child), daemon=True)
        self._receiver.start()
        child.close()
        expect("receiver", self._told.recv(), "ready")
        self._database = folder / "mlmon.db"
        (folder / "mlmon.toml").write_text(_configuration(folder, port))
        self.middleware = MonitorMiddleware(app, config=folder / "mlmon.toml", strict=True)
        return self.middleware.__call__

    @property
    def process(self) -> Any:
        return self.middleware._process

    def settle(self) -> None:
        deadline = time.monotonic() + SOON_SECONDS
        while self.process._worker is None or self.process.handoff.stats().items_in_queue:
            if time.monotonic() > deadline:
                raise TimeoutError("the recorder does not keep up")
            time.sleep(0.02)
        worker = self.process._worker
        expect("flush", worker.recorder.flush(), True)
        expect("export", worker.exporter.flush(10.0), True)

    def prove(self, sent: Sent) -> None:
        expect("dropped", self.process.handoff.stats().dropped_full, 0)
        expect("lost", self.process.faults.lost, 0)
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as store:
            kept = dict(store.execute("SELECT model, count(*) FROM predictions GROUP BY model").fetchall())
        expect("kept rows", (kept.get("row", 0), kept.get("batch", 0)), (sent["row"], 16 * sent["batch"]))
        self._told.send("predictions")
        exported = self._told.recv()
        expect("exported", (exported.get("row", 0), exported.get("batch", 0)), (sent["row"], 16 * sent["batch"]))

    def close(self) -> None:
        self.process.stop()
        self._told.send("stop")
        self._receiver.join(10)
        self._folder.cleanup()


def _configuration(folder: Path, port: int) -> str:
    names = json.dumps(NAMES)
    return f"""
store = "sqlite:///{folder / "mlmon.db"}"
[export]
endpoint = "http://127.0.0.1:{port}"
[privacy]
store_features = ["country", "x0"]
[models.row]
routes = ["POST /row"]
baseline = "{folder / "row.json"}"
[models.row.prediction]
kind = "binary"
score = "response.score"
positive = "yes"
[models.batch]
routes = ["POST /batch"]
feature_names = {names}
baseline = "{folder / "batch.json"}"
[models.batch.prediction]
kind = "binary"
score = "response.predictions"
positive = "yes"
[models.stream]
routes = ["POST /stream"]
"""


def _save_baseline(path: Path, model: str, numeric: int, *, categorical: bool) -> None:
    chance, rows, start = random.Random(3), 2000, 1_700_000_000
    columns: dict[str, Any] = {name: [chance.gauss(0, 1) for _ in range(rows)] for name in NAMES[:numeric]}
    if categorical:
        columns["country"] = [chance.choice(["PT", "ES", "FR"]) for _ in range(rows)]
        columns["channel"] = [chance.choice(["app", "web"]) for _ in range(rows)]
    columns["score"] = [chance.random() for _ in range(rows)]
    columns["class"] = ["yes" if score >= 0.5 else "no" for score in columns["score"]]
    columns["at"] = [datetime.fromtimestamp(start + 600 * row, UTC).isoformat() for row in range(rows)]
    policy = RedactionPolicy.of("default")
    build_baseline(
        columns,
        Roles(timestamp="at", score="score", prediction="class"),
        Purpose(model, kind="binary", positive="yes"),
        redact_category=Redactor(policy).category,
        policy=policy.hash,
        created=datetime.now(UTC).isoformat(),
    ).save(path)


def receive_metrics(port: int, told: Connection) -> None:
    """An OTLP receiver in a process of its own: says how many predictions of each model it was told of."""
    asyncio.run(_receive_metrics(port, told))


async def _receive_metrics(port: int, told: Connection) -> None:
    from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

    receiver = OtelTapHttpProtobufReceiver(OtelTapHttpProtobufReceiverSettings(http_port=port))
    await receiver.start()
    newest: dict[str, int] = {}

    async def read() -> None:
        async for metric in receiver.stream_metrics():
            _note(metric, newest)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    told.send("ready")
    while await asyncio.to_thread(told.recv) == "predictions":
        told.send(newest)
    reader.cancel()
    await receiver.stop()


def _note(metric: Any, newest: dict[str, int]) -> None:
    if metric.name == "mlmon.predictions":
        for point in metric.sum.data_points:
            model = next(pair.value.string_value for pair in point.attributes if pair.key == "mlmon.model.name")
            newest[model] = point.as_int
