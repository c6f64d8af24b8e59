"""Every server with every framework, really started: with us the socket carries the same bytes, and all is recorded."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from framework_apps import FRAMEWORKS
from real_servers import IN_THREADS, ask, granian, others_warnings
from runtime_serving import counters

from mlmon_sidecar.runtime.process import MonitoredProcess

LARGE = json.dumps(list(range(30_000))).encode()
Asked = tuple[str, str, bytes, bool]  # method, path, body, in chunks
StopAll = Callable[[], object]
ASKED: list[Asked] = [
    ("POST", "/score", b"[1, 2.5]", False),
    ("POST", "/score", b"[1, 2.5, 3]", True),
    ("POST", "/score", LARGE, False),
    ("POST", "/stream", b"[1]", False),
    ("POST", "/fail", b"", False),
    ("POST", "/missing", b"[1]", False),
    ("GET", "/health", b"", False),
    ("HEAD", "/health", b"", False),
    ("OPTIONS", "/score", b"", False),
    ("GET", "/score", b"", False),
]
PREDICTIONS = 6  # the POSTs
NOT_SEEN = {"litestar": 1}  # its own middleware does not see what no route is for; wrapping it sees all
ON_TRIO = ("starlette", "wrapped", "twice")  # the other frameworks run on asyncio alone
PAIRS = [(server, name) for server in IN_THREADS for name in FRAMEWORKS if "trio" not in server or name in ON_TRIO]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The servers log the exceptions these applications raise on purpose."""
    logging.disable(logging.CRITICAL)
    with others_warnings():
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def stop_all(monkeypatch: pytest.MonkeyPatch) -> StopAll:
    """Ends the processes to which no lifespan came, as the interpreter's end would."""
    made: list[MonitoredProcess] = []
    start = MonitoredProcess.start

    def noting(process: MonitoredProcess) -> None:
        made.append(process)
        start(process)

    monkeypatch.setattr(MonitoredProcess, "start", noting)
    return lambda: [process.stop() for process in made]


def answers(port: int, asked: list[Asked]) -> list[bytes]:
    return [ask(port, method, path, body, chunked=chunked) for method, path, body, chunked in asked]


def assert_same(asked: list[Asked], watched: list[bytes], alone: list[bytes]) -> None:
    for what, mine, theirs in zip(asked, watched, alone, strict=True):
        assert mine == theirs, what[:2]
        assert theirs.startswith(b"HTTP/1.1 "), what[:2]


def keywords(folder: Path, **more: Any) -> dict[str, Any]:
    store = f"sqlite:///{folder}/mlmon.db"
    return {"model": "sums", "store": store, "prediction_id_header": None, "endpoints": None, "strict": True} | more


@pytest.mark.parametrize(("server", "framework"), PAIRS)
def test_the_same_bytes_and_all_of_them_recorded(
    server: str, framework: str, tmp_path: Path, stop_all: StopAll
) -> None:
    asked = ASKED
    if server == "hypercorn trio":
        asked = [one for one in ASKED if one[1] != "/stream"]  # this worker never closes it, with us or without
    with IN_THREADS[server](FRAMEWORKS[framework](None), "") as port:
        alone = answers(port, asked)
    with IN_THREADS[server](FRAMEWORKS[framework](keywords(tmp_path)), "") as port:
        watched = answers(port, asked)
    assert_same(asked, watched, alone)
    stop_all()
    expected = PREDICTIONS - (len(ASKED) - len(asked)) - NOT_SEEN.get(framework, 0)
    assert counters(tmp_path)["exchanges.accepted"] == expected


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "wrapped"])
@pytest.mark.parametrize("server", ["uvicorn h11", "hypercorn asyncio"])
def test_under_the_server_s_root_path(server: str, framework: str, tmp_path: Path, stop_all: StopAll) -> None:
    """Behind a proxy that strips the prefix: uvicorn puts it back in front of the path, hypercorn does not."""
    asked = [("POST", "/score", b"[1, 2]", False), ("GET", "/health", b"", False)]
    settings = tmp_path / "mlmon.toml"
    settings.write_text('[models.sums]\nroutes = ["POST /score"]\n')
    monitor = keywords(tmp_path, model=None, config=settings)
    with IN_THREADS[server](FRAMEWORKS[framework](None), "/api") as port:
        alone = answers(port, asked)
    with IN_THREADS[server](FRAMEWORKS[framework](monitor), "/api") as port:
        watched = answers(port, asked)
    assert_same(asked, watched, alone)
    assert alone[0].startswith(b"HTTP/1.1 200")
    stop_all()
    assert counters(tmp_path)["exchanges.accepted"] == 1


@pytest.mark.parametrize("framework", ["fastapi", "wrapped"])
def test_granian(framework: str, tmp_path: Path) -> None:
    with granian(framework, None, tmp_path) as port:
        alone = answers(port, ASKED)
    with granian(framework, f"sqlite:///{tmp_path}/mlmon.db", tmp_path) as port:
        watched = answers(port, ASKED)
    assert_same(ASKED, watched, alone)
    assert counters(tmp_path)["exchanges.accepted"] == PREDICTIONS
