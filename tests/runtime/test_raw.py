"""``ship = "raw"`` with real servers and a real hub: the same figures as without it, and no loss but what is said."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from runtime_serving import (
    HERE,
    ID,
    SOON_SECONDS,
    Served,
    applicants,
    build_baseline,
    configure,
    counters,
    environment,
    eventually,
    serving,
    stored,
)

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.capture.wiring import DEFAULT_HEADERS
from mlmon_sidecar.config import load
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.runtime.assembly import decode_options, watched_models
from mlmon_sidecar.runtime.wiring import capture_options
from mlmon_sidecar.shipping.frames import Opening
from mlmon_sidecar.shipping.link import Link
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.store.sqlite import SqliteStore

pytestmark = pytest.mark.alone

MEBIBYTE = 1 << 20


class SeparateHub:
    """``mlmon hub`` in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", str(self.folder / "mlmon.toml")]
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environment(PYTHONFAULTHANDLER="1"), stdout=log, stderr=log
            )

    @property
    def told(self) -> str:
        return (self.folder / "hub.log").read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(SOON_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # where each of its threads is
            self.process.wait(SOON_SECONDS)
            pytest.fail(self.told)


@contextmanager
def hub_running(folder: Path) -> Iterator[SeparateHub]:
    hub = SeparateHub(folder)
    try:
        eventually((folder / "hub.sock").exists)
        yield hub
        hub.end()
        assert hub.process.returncode == 0, hub.told
    finally:
        hub.process.kill()
        hub.process.wait()


def configure_raw(folder: Path, ship: str = "raw", hub: str = "", **more: Any) -> Path:
    head = f'[hub]\nurl = "unix://{folder}/hub.sock"\nship = "{ship}"\n{hub}'
    return configure(folder, head=head, **more)


def settled(folder: Path, requests: int) -> dict[str, int]:
    """The store's counters, once so many requests are in them; each is decoded or dropped."""

    def look() -> dict[str, int]:
        return counters(folder) if (folder / "mlmon.db").exists() else {}

    found = eventually(look, lambda found: ended(found) >= requests)  # what is accepted is told before it is decoded
    assert found["exchanges.accepted"] == ended(found) == requests
    return found


def ended(found: dict[str, int]) -> int:
    dropped = sum(value for name, value in found.items() if name.startswith("exchanges.dropped."))
    return found.get("exchanges.decoded", 0) + dropped


def asked(served: Served) -> None:
    """Some of everything."""
    for row in applicants(60, seed=11):
        served.score(**row)
    for path in ("/annotated", "/annotated-sync", "/constant", "/text", "/stream", "/two"):
        served.score(path)
    for body in (b"", b"not json", b"[1,2,3]", b'[{"income":1},{"income":2}]', b'{"income":NaN}', b'{"a":' * 2_000):
        served.client.post("/lenient", content=body, headers={"content-type": "application/json"})
    served.client.post("/score", json={"income": "much"})
    served.client.post("/raise", json={})


ASKED = 60 + 6 + 6 + 2


def outcome_of(folder: Path, ship: str, baseline: bytes) -> tuple[dict[str, int], list[Any], np.ndarray[Any, Any]]:
    """Counters, rows and the sum of all panes, without what depends on how long things took."""
    folder.mkdir()
    (folder / "loans.json").write_bytes(baseline)
    configure_raw(folder, ship, models='baseline = "loans.json"', text='[privacy]\nstore_features = ["age"]')
    with hub_running(folder), serving(folder) as served:
        asked(served)
        found = settled(folder, ASKED)
    rows = stored(folder, "version, segment, predicted, score, confidence, alias, features")
    layout = Baseline.load(folder / "loans.json").layout
    store = SqliteStore(folder / "mlmon.db")
    panes = [*store.fleet_panes("loans", 0, 1 << 40), *(p.pane for p in store.open_panes("loans", 1 << 40, 1_000))]
    store.close()
    total = np.sum([pane.vector for pane in panes], axis=0)
    cells = layout.traffic
    for timed in (cells.duration, cells.first_byte, cells.duration_us, cells.first_byte_us):
        total[timed] = 0
    kept = {name: value for name, value in found.items() if not name.startswith("shipped.")}
    return kept, sorted(rows, key=repr), total


def test_both_ways_come_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    configure(tmp_path / "base")
    baseline = build_baseline(tmp_path / "base", applicants(300)).read_bytes()
    panes = outcome_of(tmp_path / "panes", "panes", baseline)
    raw = outcome_of(tmp_path / "raw", "raw", baseline)
    assert raw[0] == panes[0] and panes[0]["exchanges.decoded"] > 60
    assert raw[1] == panes[1] and len(panes[1]) == panes[0]["rows.kept"] > 60
    assert np.array_equal(raw[2], panes[2]) and panes[2].sum() > 1_000


class Load:
    """Requests one after the other from several threads until it is told to end."""

    def __init__(self, served: Served, threads: int = 3) -> None:
        self.ids: list[str] = []
        self._served, self._ending = served, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._served.url, timeout=30) as client:
            while not self._ending.wait(0.005):
                answer = client.post("/score", json={"income": 50_000, "loan": 9_000})
                assert answer.status_code == 200
                self.ids.append(answer.headers[ID])

    def more(self, count: int) -> None:
        before = len(self.ids)
        eventually(lambda: len(self.ids) >= before + count)


def test_a_killed_hub_costs_nothing_that_its_successor_does_not_get(tmp_path: Path) -> None:
    """Killed at any moment, several times, under load; stopped in order as well. Every request counts once."""
    configure_raw(tmp_path)
    with hub_running(tmp_path) as hub, serving(tmp_path) as served:
        with Load(served) as load:
            for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                reached = counters(tmp_path).get("exchanges.accepted", 0) if (tmp_path / "mlmon.db").exists() else 0
                eventually(lambda wanted=reached + 20: counted(tmp_path) > wanted)  # type: ignore[misc]
                hub.end(number)
                load.more(10)
                hub.start()
        settled(tmp_path, len(load.ids))
        assert served.terminate() in (0, -signal.SIGTERM)
        assert sorted(stored(tmp_path)) == sorted(load.ids), "the last flushes are with the hub"
        assert rows_counted(tmp_path) == len(load.ids)
    assert not [line for line in served.complaints if "lost" in line]  # that they wait may be said


def counted(folder: Path) -> int:
    return counters(folder).get("exchanges.accepted", 0) if (folder / "mlmon.db").exists() else 0


def rows_counted(folder: Path) -> int:
    store = SqliteStore(folder / "mlmon.db")
    panes = [*store.fleet_panes("loans", 0, 1 << 40), *(p.pane for p in store.open_panes("loans", 1 << 40, 1_000))]
    store.close()
    return sum(int(pane.vector[Layout.bare("loans").traffic.rows]) for pane in panes)


def test_large_bodies_are_decoded_by_the_hub(tmp_path: Path) -> None:
    configure_raw(tmp_path, text='[privacy]\nstore_features = ["income"]')
    large = json.dumps({"income": 41.5, "note": "x" * (3 * MEBIBYTE)}).encode()
    with hub_running(tmp_path), serving(tmp_path) as served:
        for _ in range(4):
            assert served.client.post("/lenient", content=large).status_code == 200
        assert settled(tmp_path, 4)["exchanges.decoded"] == 4
        served.client.post("/lenient", content=b" " * (8 * MEBIBYTE + 1))
        assert settled(tmp_path, 5)["exchanges.dropped.body_too_large"] == 1
    assert [json.loads(found) for found in stored(tmp_path, "features")] == [{"income": 41.5}] * 4


def mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def test_the_server_loads_no_numbers_of_ours(tmp_path: Path) -> None:
    memory = {}
    for ship in ("panes", "raw"):
        folder = tmp_path / ship
        folder.mkdir()
        configure_raw(folder, ship)
        with hub_running(folder), serving(folder) as served:
            served.score()
            settled(folder, 1)
            pid = served.process.pid
            memory[ship] = resident(pid)
            assert ("numpy" in mapped(pid), "apsw" in mapped(pid)) == (ship == "panes", False)
            if ship == "raw":
                assert served.status()["counters"]["captured"] == 1, "who opens the page has it answered all the same"
    assert memory["raw"] < memory["panes"] - 5_000, memory


def test_an_end_without_a_hub_is_in_time_and_says_what_is_lost(tmp_path: Path) -> None:
    configure_raw(tmp_path)
    with hub_running(tmp_path) as hub, serving(tmp_path) as served:
        served.score()
        settled(tmp_path, 1)
        hub.process.send_signal(signal.SIGSTOP)
        for _ in range(7):
            served.score()
        begun = time.monotonic()
        assert served.terminate() in (0, -signal.SIGTERM)
        assert time.monotonic() - begun < 5 + 10, "its five seconds, and what a busy machine takes"
        hub.process.send_signal(signal.SIGCONT)
    assert any("no hub has said that it has 7 others" in line for line in served.complaints), served.told
    assert 1 <= counted(tmp_path) <= 8, "what had reached its socket it may record when it wakes up"


def test_a_forked_server_ships_for_itself(tmp_path: Path) -> None:
    configure_raw(tmp_path)
    paths = os.pathsep.join(filter(None, [str(HERE), environment().get("PYTHONPATH")]))
    with hub_running(tmp_path):
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(HERE / "forking_program.py"), "mlmon-shipper"],
            cwd=tmp_path, env=environment(PYTHONPATH=paths), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        settled(tmp_path, 20)
    assert told["ended"] == 0 and sorted(stored(tmp_path)) == sorted(told["parent"] + told["child"])
    store = SqliteStore(tmp_path / "mlmon.db")
    origins = {row.origin for row in store.recorders()}
    store.close()
    assert len(origins) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_who_may_connect_is_configured() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o711)
        configure_raw(folder, hub='group = "4243"\nallow_uids = [4242]\n')
        with hub_running(folder):
            found = (folder / "hub.sock").stat()
            assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, 4243)
            assert opens_as(4242, 4243, folder / "hub.sock") == "opened"
            assert opens_as(4244, 4243, folder / "hub.sock") == "peer_refused"
            assert opens_as(4242, 4244, folder / "hub.sock") == "PermissionError"


def opens_as(uid: int, gid: int, path: Path) -> str:
    """What a process of that user and group is told."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            Link(str(path)).connect(Opening("s", "here", 1, 1, 1, 1))
            os.write(write, b"opened")
        except BaseException as error:
            os.write(write, str(getattr(error, "code", type(error).__name__)).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as said:
        return said.read()


SELECTORS = 'id = "header.x-request-id"\n'
PREDICTION = '[models.loans.prediction]\nsegment = "header.x-region"\nscore = "response.score"\n'


@pytest.mark.parametrize("models", ["", SELECTORS, SELECTORS + PREDICTION, 'version = "header.x-version"\n'])
def test_the_headers_that_decoding_needs_are_shipped(models: str, tmp_path: Path) -> None:
    """The serving process works them out without the decoders."""
    path = tmp_path / "mlmon.toml"
    path.write_text(f"[models.loans]\n{models}")
    loaded = load(path, environ={})
    (options,) = (decode_options(model) for model in watched_models(loaded.settings, loaded.origin))
    assert isinstance(options, DecodeOptions)
    assert capture_options(loaded.settings).headers == DEFAULT_HEADERS | options.headers


def test_raw_bodies_stay_on_the_host(tmp_path: Path) -> None:
    path = tmp_path / "mlmon.toml"
    path.write_text('[hub]\nship = "raw"\n')
    for given in ({}, {"hub": {"url": "https://mlmon.internal"}}):
        with pytest.raises(ConfigError) as refusal:
            load(path, environ={}, **given)
        assert given or "raw bodies never leave the host" in str(refusal.value)
    assert load(path, environ={}, hub={"url": "unix:///run/hub.sock"}).settings.body_limit == 8 * MEBIBYTE
    assert load(path, environ={}, hub={"url": "unix:///a", "ship": "panes"}).settings.body_limit == 48 * 1024
