"""``mlmon hub`` on a PostgreSQL, both real: either may die, another hub may come, no acknowledged label goes."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres_server import Server
from runtime_serving import TOKEN, configure, environment, eventually

from mlmon_sidecar import FeedbackClient, Label
from mlmon_sidecar.errors import FeedbackError
from mlmon_sidecar.records import Flush, KeptRow, KeptRows, RedactedRows
from mlmon_sidecar.store import open_store

KILLS = 3  # the long form is ``python benchmarks/labels.py kill --postgres``
MADE = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture(scope="module", name="server")
def _server(database: Server) -> Iterator[Server]:
    """One that may be killed, and writes to its disk before it answers. ``database``: where none can be had, skip."""
    with Server(durable=True) as server:
        yield server


class HubProcess:
    """``mlmon hub`` in a working directory of its own, as on a host of its own."""

    def __init__(self, folder: Path, store: str) -> None:
        folder.mkdir(exist_ok=True)
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        configure(folder, f'[hub]\nurl = "unix://{folder}/hub.sock"', store=store)
        self._folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--listen", f"127.0.0.1:{self.port}"]
        with (self._folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self._folder, env=environment(OTEL_SDK_DISABLED="true"), stdout=log, stderr=log
            )
        eventually(lambda: self.get("/api/status"), lambda answer: answer is not None and answer.status_code == 200)

    @property
    def told(self) -> str:
        return (self._folder / "hub.log").read_text("utf-8", "replace")

    def get(self, path: str) -> httpx.Response | None:
        assert self.process.poll() is None, self.told
        try:
            return httpx.get(f"{self.url}{path}", headers={"authorization": f"Bearer {TOKEN}"}, timeout=20)
        except httpx.TransportError:
            return None

    def post(self, id_: str) -> httpx.Response:
        item = {"id": id_, "label": "repaid", "observed_at": datetime.now(UTC).isoformat()}
        return httpx.post(f"{self.url}/feedback", json=item, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def hub_on(tmp_path: Path) -> Iterator[Callable[[str, str], HubProcess]]:
    started: list[HubProcess] = []

    def start(name: str, store: str) -> HubProcess:
        started.append(HubProcess(tmp_path / name, store))
        return started[-1]

    yield start
    for hub in started:
        hub.kill()


def predict(url: str, ids: Sequence[str]) -> None:
    """Predictions of ``loans``, made two hours ago."""
    at_ns = int(MADE.timestamp()) * 10**9
    rows = [KeptRow(id_, "loans", "v7", "", at_ns, 0.9, "repaid", None, None, "", "", "{}") for id_ in ids]
    with closing(open_store(url)) as store:
        store.take_over()
        store.commit_flush(Flush("r", 1, (), RedactedRows(KeptRows.of(rows), {}), {}, {}, 0, True, "host:7"), at_ns)


def kept(url: str) -> list[str]:
    import psycopg

    with psycopg.connect(url) as db:
        return [name for (name,) in db.execute("SELECT id FROM mlmon.labels")]


def joined(url: str) -> int:
    """Labels that are counted with their predictions."""
    with closing(open_store(url)) as store:
        return sum(cell.rows for cell in store.outcome_cells("loans", 0, int(datetime.now(UTC).timestamp()) // 86_400))


class Sender:
    """Sends labels about ``ids`` in batches until it is told to stop, and knows which were acknowledged."""

    def __init__(self, url: str, ids: Sequence[str], size: int = 100) -> None:
        self.acknowledged: list[str] = []
        self._batches = iter([ids[start : start + size] for start in range(0, len(ids), size)])
        self._url = url
        self._stop = threading.Event()

    @contextmanager
    def sending(self) -> Iterator[None]:
        self._stop.clear()
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def wait_for(self, more: int) -> None:
        """Until so many more are acknowledged."""
        wanted = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged) >= wanted)

    def _run(self) -> None:
        with FeedbackClient(self._url, TOKEN, timeout=30, sleep=lambda _: self._stop.wait(0.02)) as client:
            for batch in self._batches:
                self._until_taken(client, batch)
                if self._stop.is_set():
                    return

    def _until_taken(self, client: FeedbackClient, batch: Sequence[str]) -> None:
        at = datetime.now(UTC)
        while not self._stop.is_set():
            try:
                receipt = client.send(Label(name, "repaid", at) for name in batch)
            except FeedbackError as error:
                assert error.code == "hub_unreachable", error
                continue
            taken = [item.id for item in receipt.items if item.status in ("accepted", "duplicate")]
            assert taken == list(batch)
            self.acknowledged += taken
            return


def test_no_acknowledged_label_is_lost_by_kills_of_the_hub(
    server: Server, hub_on: Callable[[str, str], HubProcess]
) -> None:
    url, chance = server.emptied(), random.Random(5)
    ids = [f"p-{n}" for n in range(20_000)]
    predict(url, ids)
    hub = hub_on("hub", url)
    sender = Sender(hub.url, ids)
    for turn in range(KILLS):
        if turn:
            hub.start()
        with sender.sending():
            sender.wait_for(chance.randint(100, 1_500))
            hub.kill()
        names = kept(url)
        assert set(sender.acknowledged) <= set(names)
        assert len(names) == len(set(names))
    hub.start()
    eventually(lambda: joined(url) == len(kept(url)))


def test_the_hub_outlives_a_crash_of_its_database(server: Server, hub_on: Callable[[str, str], HubProcess]) -> None:
    url = server.emptied()
    ids = [f"p-{n}" for n in range(20_000)]
    predict(url, ids)
    hub = hub_on("hub", url)
    sender = Sender(hub.url, ids)
    with sender.sending():
        for _ in range(2):
            sender.wait_for(300)
            server.kill()
            refused = hub.post("p-0")
            assert (refused.status_code, refused.json()["code"]) in ((503, "store_failed"), (503, "cannot_open"))
            assert refused.headers["retry-after"]
            server.start()
        sender.wait_for(300)
    names = kept(url)
    assert set(sender.acknowledged) <= set(names) and len(names) == len(set(names))
    eventually(lambda: joined(url) == len(kept(url)))
    assert hub.process.poll() is None


def test_of_two_hubs_the_later_one_writes(server: Server, hub_on: Callable[[str, str], HubProcess]) -> None:
    url = server.emptied()
    predict(url, [f"p-{n}" for n in range(4)])
    old = hub_on("old", url)
    assert old.post("p-0").json()["accepted"] == 1
    new = hub_on("new", url)
    refused = old.post("p-1")
    assert (refused.status_code, refused.json()["code"]) == (503, "fenced")
    assert kept(url) == ["p-0"]
    assert new.post("p-1").json()["accepted"] == 1 and new.post("p-0").json()["duplicate"] == 1
    eventually(lambda: joined(url) == 2)
    assert old.process.poll() is None and new.process.poll() is None


def test_a_hub_whose_database_is_away_says_so_and_ends(tmp_path: Path) -> None:
    configure(tmp_path, store="postgresql://nobody@127.0.0.1:9/mlmon")
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub"]
    ended: Any = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode not in (0, -signal.SIGKILL)
    assert "[cannot_open]" in ended.stderr and "Check that it runs" in ended.stderr
    assert "Traceback" not in ended.stderr
