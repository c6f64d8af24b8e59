"""Ports and a server that cannot start."""

import socket
from pathlib import Path

import pytest

from mlmon_sidecar.demo import process
from mlmon_sidecar.demo.process import HOST, Server, choose_port
from mlmon_sidecar.errors import MlmonError


def test_a_port_in_use_is_named() -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MlmonError, match=f"port {port}") as caught:
            choose_port(port)
    assert caught.value.code == "port_in_use"
    assert "--port" in caught.value.hint


@pytest.mark.parametrize("wanted", [None, 0])
def test_any_free_port(wanted: int | None) -> None:
    port = choose_port(wanted)
    assert port > 0
    assert choose_port(port) == port


def test_a_server_that_ends_early_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "APPLICATION", "mlmon_sidecar.demo.no_such_module:app")
    with Server(choose_port(None), tmp_path / "none.toml", tmp_path / "server.log") as server:
        with pytest.raises(MlmonError, match="ended before it was ready") as caught:
            server.wait_ready()
        assert "no_such_module" in caught.value.hint
        assert server.stop() != 0


def test_a_server_never_started_has_no_exit_code(tmp_path: Path) -> None:
    assert Server(1, tmp_path, tmp_path).stop() is None
