"""Labels by HTTP, their join, and a hub that is killed: ``python benchmarks/labels.py ingest|join|kill``.

The store is a file (SQLite), or with ``--postgres`` a PostgreSQL that is started for it and writes every commit to its
disk, as it comes out of the box.

*ingest* streams labels in JSON Lines to ``mlmon hub``, a process of its own, about predictions it has; every label is
on disk before the answer. *join* counts as many labels as predictions into outcome cells. *kill* ends the hub by
SIGKILL again and again while labels come in, and looks for every label that was acknowledged. Processor time is that
of the hub (ingest) or of this process (join).
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import orjson
import psutil
import uuid_utils

from mlmon_sidecar.client import FeedbackClient, Label
from mlmon_sidecar.errors import FeedbackError
from mlmon_sidecar.records import Flush, KeptRow, KeptRows, RedactedRows
from mlmon_sidecar.records import Label as StoredLabel
from mlmon_sidecar.store import open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from postgres_server import Server

TOKEN = "benchmark-token-0123456789"
ROWS_A_FLUSH = 5_000
LABELS_A_PIECE = 2_000
LABELS_A_JOIN = 5_000  # as the hub does at each tick
DAY_NS = 86_400 * 1_000_000_000
NOW_NS = time.time_ns()


def predict(url: str, count: int) -> list[str]:
    """``count`` predictions of the last ten days with an alias each; their ids."""
    store = open_store(url)
    store.take_over()
    ids: list[str] = []
    for seq, start in enumerate(range(0, count, ROWS_A_FLUSH), start=1):
        rows = []
        for number in range(start, min(count, start + ROWS_A_FLUSH)):
            ids.append(str(uuid_utils.uuid7()))
            at = NOW_NS - 10 * DAY_NS + number * (9 * DAY_NS // count)
            rows.append(
                KeptRow(
                    ids[-1],
                    "fraud",
                    "v1",
                    "",
                    at,
                    0.5,
                    "no" if number % 9 else "yes",
                    0.9,
                    f"tx-{number}",
                    "",
                    "",
                    "{}",
                )
            )
        store.commit_flush(
            Flush("r", seq, (), RedactedRows(KeptRows.of(rows), {}), {}, {}, NOW_NS, False, "b:1"), NOW_NS
        )
    store.close()
    return ids


class HubProcess:
    """``mlmon hub`` on a store."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "token").write_text(TOKEN)
        (folder / "mlmon.toml").write_text(
            f'store = "{store}"\n[hub]\nurl = "unix://{folder}/hub.sock"\n'
            f'[tokens]\nlabel = "{folder}/token"\n[models.fraud]\n'
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> psutil.Process:
        command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", str(self.folder / "mlmon.toml"),
                   "--listen", f"127.0.0.1:{self.port}"]  # fmt: skip
        self.process = subprocess.Popen(command, cwd=self.folder, env=os.environ | {"OTEL_SDK_DISABLED": "true"})
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                httpx.get(f"{self.url}/", timeout=1)
            except httpx.TransportError:
                if self.process.poll() is not None:
                    raise SystemExit("the hub ended") from None
                time.sleep(0.05)
            else:
                return psutil.Process(self.process.pid)
        raise SystemExit("the hub does not answer")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def lines(names: list[str]) -> Iterator[bytes]:
    for start in range(0, len(names), LABELS_A_PIECE):
        said = names[start : start + LABELS_A_PIECE]
        items = ({"id": name, "label": "yes", "observed_at": NOW_NS // 10**9 - 60, "source": "bank"} for name in said)
        yield b"".join(orjson.dumps(item) + b"\n" for item in items)


def ingest(folder: Path, store: str, count: int) -> None:
    ids = predict(store, count)
    hub = HubProcess(folder, store)
    process = hub.start()
    try:
        half = count // 2
        for what, names in (("by id", ids[:half]), ("by alias", [f"tx-{n}" for n in range(half, count)])):
            pieces = list(lines(names))
            before, mine, start = process.cpu_times(), time.process_time(), time.perf_counter()
            answer = httpx.post(
                f"{hub.url}/feedback", content=iter(pieces), timeout=600,
                headers={"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"},
            )  # fmt: skip
            wall, after = time.perf_counter() - start, process.cpu_times()
            said = answer.json()
            if said.get("accepted") != len(names):
                raise SystemExit(f"not all were accepted: {answer.text[:300]}")
            cpu = after.user + after.system - before.user - before.system
            print(
                f"ingest {what}: {len(names):,} labels in {wall:.2f} s: {len(names) / wall:,.0f} labels/s; hub "
                f"{cpu:.2f} s CPU ({len(names) / cpu:,.0f} labels/s of one core), "
                f"sender {time.process_time() - mine:.2f} s"
            )
    finally:
        hub.kill()


def join(_folder: Path, url: str, count: int) -> None:
    predict(url, count)
    store = open_store(url)
    store.take_over()
    started = time.perf_counter(), time.process_time()
    for start in range(0, count, ROWS_A_FLUSH):
        named = range(start, min(count, start + ROWS_A_FLUSH))
        store.commit_labels([StoredLabel(f"tx-{n}", "yes", NOW_NS - 60, "", "bank") for n in named], NOW_NS)
    taken = time.perf_counter(), time.process_time()
    joined = 0
    while found := store.join_labels(LABELS_A_JOIN):
        joined += found
    ended = time.perf_counter(), time.process_time()
    cells = sum(cell.rows for cell in store.outcome_cells("fraud", 0, NOW_NS // DAY_NS))
    store.close()
    if not joined == cells == count:
        raise SystemExit(f"joined {joined}, counted {cells}")
    for what, (a, b) in (
        ("resolve and commit", (started, taken)),
        ("join", (taken, ended)),
        ("both", (started, ended)),
    ):
        print(f"{what}: {count:,} labels with {count:,} predictions in {b[0] - a[0]:.2f} s, {b[1] - a[1]:.2f} s CPU")


def kill(folder: Path, store: str, times: int) -> None:
    """Acknowledged labels are written down here, in this process, which is not killed."""
    acknowledged: set[str] = set()
    hub = HubProcess(folder, store)
    stop, run = threading.Event(), 0
    chance = random.Random(7)

    def send(part: int) -> None:
        number = 0
        with FeedbackClient(hub.url, TOKEN, timeout=5, sleep=lambda _: stop.wait(0.01)) as client:
            while not stop.is_set():
                names = [f"{run}-{part}-{number}-{n}" for n in range(500)]
                number += 1
                at = datetime.now(UTC)
                try:
                    receipt = client.send(Label(name, "yes", at) for name in names)
                except FeedbackError:
                    continue
                acknowledged.update(item.id for item in receipt.items if item.status in ("pending", "duplicate"))

    for run in range(times):
        hub.start()
        stop.clear()
        threads = [threading.Thread(target=send, args=(part,)) for part in range(2)]
        for thread in threads:
            thread.start()
        begun = len(acknowledged)
        while len(acknowledged) == begun:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.5))
        hub.kill()
        stop.set()
        for thread in threads:
            thread.join()
        # The store as the kill left it; the next hub goes on with it.
        with closing(open_store(store)) as left:
            if store.startswith("sqlite") and left._rows("PRAGMA integrity_check") != [("ok",)]:
                raise SystemExit(f"run {run}: the store is damaged")
            kept = {name for (name,) in left._rows("SELECT id FROM labels")}
            rows = left._rows("SELECT count(*) FROM labels")[0][0]
        if acknowledged - kept or rows != len(kept):
            raise SystemExit(f"run {run}: {len(acknowledged - kept)} lost, {rows - len(kept)} twice")
        print(f"kill {run + 1}: {len(acknowledged):,} acknowledged, {len(kept):,} kept", flush=True)
    print(f"kill: {times} kills, {len(acknowledged):,} labels acknowledged, {len(kept):,} kept, 0 lost, none twice")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("ingest", "join", "kill"))
    parser.add_argument("--labels", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--postgres", action="store_true")
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder, Server(durable=True) if chosen.postgres else nullcontext() as server:
        store = f"sqlite:///{folder}/mlmon.db" if server is None else server.url
        if chosen.what == "kill":
            kill(Path(folder), store, chosen.kills)
        else:
            {"ingest": ingest, "join": join}[chosen.what](Path(folder), store, chosen.labels)


if __name__ == "__main__":
    main()
