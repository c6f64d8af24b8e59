"""A wrong configuration: the server starts and serves, one error says what to do, and the rest goes on where it can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from runtime_serving import (
    ID,
    Served,
    applicants,
    build_baseline,
    configure,
    eventually,
    mlmon,
    serving,
    stored,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware

from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.errors import MlmonError


class Fault(NamedTuple):
    """One mistake, and the words by which file, key, value and fix are known."""

    make: Callable[[Path], object]
    words: tuple[str, ...]
    monitored: bool = False  # what does not depend on it goes on


def renamed(folder: Path) -> None:
    """The baseline stays that of the model's old name."""
    replaced("[models.loans", "[models.credit")(folder)
    replaced('version = "v7"', 'version = "v7"\nbaseline = "built.json"')(folder)


def replaced(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (file := folder / "mlmon.toml").write_text(file.read_text().replace(old, new))


def baseline_of(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    """A baseline like the one that was built, but for one thing."""

    def make(folder: Path) -> None:
        document = json.loads((folder / "built.json").read_text())
        change(document)
        (folder / "wrong.json").write_text(json.dumps(document))
        replaced('version = "v7"', 'version = "v7"\nbaseline = "wrong.json"')(folder)

    return make


FAULTS = {
    "unknown key": Fault(replaced("version =", "verison ="), ("mlmon.toml", "verison", "did you mean 'version'")),
    "bad value": Fault(
        replaced("flush_interval_seconds = 0.1", "flush_interval_seconds = 99"),
        ("mlmon.toml", "flush_interval_seconds", "99", "at most 60"),
    ),
    "not TOML": Fault(replaced("[tokens]", "[tokens"), ("mlmon.toml", "not valid TOML", "line")),
    "token file missing": Fault(
        lambda folder: (folder / "token").unlink(), ("tokens.label", "token", "Give a readable text file")
    ),
    "baseline missing": Fault(
        replaced('version = "v7"', 'version = "v7"\nbaseline = "gone.json"'),
        ("mlmon.toml", "models.loans.baseline", "gone.json", "mlmon baseline build"),
        monitored=True,
    ),
    "baseline of another model": Fault(
        renamed,
        ("mlmon.toml", "models.credit.baseline", "built.json", "--model credit"),
        monitored=True,
    ),
    "baseline of another policy": Fault(
        baseline_of(lambda document: document.update(policy="0" * 16)),
        ("mlmon.toml", "models.loans.baseline", "wrong.json", "Build it again"),
        monitored=True,
    ),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("baseline")
    configure(folder)
    return build_baseline(folder, applicants(500)).read_bytes()


@pytest.mark.parametrize("name", FAULTS)
def test_one_error_and_every_request_passes(name: str, tmp_path: Path, built: bytes) -> None:
    fault = FAULTS[name]
    configure(tmp_path)
    (tmp_path / "built.json").write_bytes(built)
    fault.make(tmp_path)
    with serving(tmp_path, "wrapped") as served:
        responses = [served.score(income=income) for income in range(1_000, 21_000, 1_000)]
        assert all((ID in response.headers) == fault.monitored for response in responses)
        degraded = served.client.get("/degraded").json()
        complaints = served.complaints
        if fault.monitored:
            assert served.counted(20)["captured"] == 20
            (model,) = served.status()["models"]
            assert model["reason"] == degraded
    assert len(complaints) == 1, complaints
    assert degraded and complaints[0].endswith(degraded)
    assert [word for word in fault.words if word not in degraded] == []
    checked = mlmon(tmp_path, "config", "check")
    assert checked.returncode == 1 and checked.stderr.startswith("error: ")


@pytest.mark.parametrize("name", FAULTS)
def test_strict_raises(name: str, tmp_path: Path, built: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    (tmp_path / "built.json").write_bytes(built)
    FAULTS[name].make(tmp_path)
    with pytest.raises(MlmonError) as caught:
        MonitorMiddleware(lambda scope, receive, send: None, strict=True)  # type: ignore[arg-type, return-value]  # never called
    assert [word for word in FAULTS[name].words if word not in str(caught.value)] == []


@pytest.mark.parametrize(("application", "code"), [("wrapped", 1), ("monitored", 3)])
def test_strict_keeps_a_server_from_starting(application: str, code: int, tmp_path: Path) -> None:
    """Added, it is made with the first message: then the lifespan fails, which stops the server in auto mode too."""
    configure(tmp_path)
    FAULTS["unknown key"].make(tmp_path)
    served = Served(tmp_path, application, TEST_STRICT="yes")
    assert served.process.wait(60) == code
    served.client.close()
    assert "did you mean 'version'" in served.told


def test_strict_fails_the_lifespan_and_every_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    FAULTS["unknown key"].make(tmp_path)
    app = Starlette(middleware=[Middleware(MonitorMiddleware, strict=True)])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    for scope in ({"type": "lifespan"}, {"type": "http", "method": "POST", "path": "/score", "headers": []}):
        with pytest.raises(MlmonError, match="did you mean"):
            asyncio.run(app(scope, receive, send))
    assert [message["type"] for message in sent[:1]] == ["lifespan.startup.failed"]
    assert "did you mean" in sent[0]["message"]


def test_a_store_that_cannot_be_opened_is_waited_for(tmp_path: Path) -> None:
    configure(tmp_path)
    replaced("sqlite:///mlmon.db", "sqlite:///later/mlmon.db")(tmp_path)
    assert "later" in (checked := mlmon(tmp_path, "config", "check")).stderr and checked.returncode == 1
    with serving(tmp_path, "wrapped") as served:
        ids = [served.score().headers[ID] for _ in range(10)]
        degraded = eventually(lambda: served.client.get("/degraded").json())
        assert "later" in degraded and "writable" in degraded
        refused = served.client.get("/mlmon/api/status", headers={"authorization": "Bearer " + read_token(tmp_path)})
        assert (refused.status_code, refused.json()["code"]) == (503, "lock_unusable")
        assert len(served.complaints) == 1 and degraded in served.complaints[0]
        (tmp_path / "later").mkdir()
        assert served.counted(10)["captured"] == 10
        assert served.client.get("/degraded").json() == ""
        assert len(served.complaints) == 2 and "can be used now" in served.complaints[1]
    assert stored(tmp_path / "later") == ids


def read_token(folder: Path) -> str:
    return (folder / "token").read_text().strip()


def test_switched_off_we_are_not_there(tmp_path: Path) -> None:
    configure(tmp_path)
    with serving(tmp_path, "wrapped", MLMON_ENABLED="false") as served:
        assert ID not in served.score().headers
        assert served.client.get("/mlmon/").status_code == 404
        assert not [name for name in served.client.get("/threads").json() if name.startswith("mlmon")]
        assert served.client.get("/degraded").json() == ""
        assert not served.complaints
    assert not (tmp_path / "mlmon.db").exists()


def test_switched_on_it_is_seen(tmp_path: Path) -> None:
    """What the test above would miss, if names were others."""
    configure(tmp_path)
    with serving(tmp_path, "wrapped") as served:
        assert ID in served.score().headers
        threads = eventually(lambda: served.client.get("/threads").json(), lambda names: "mlmon-recorder" in names)
        assert [name for name in threads if name.startswith("mlmon")]


def test_check_passes_what_serves(tmp_path: Path, built: bytes) -> None:
    configure(tmp_path, models='baseline = "built.json"')
    (tmp_path / "built.json").write_bytes(built)
    checked = mlmon(tmp_path, "config", "check")
    assert (checked.returncode, checked.stderr) == (0, "")
