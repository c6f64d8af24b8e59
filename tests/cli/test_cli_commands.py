"""What commands hand on, and how failures look, without starting servers."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from mlmon_sidecar.cli import main as cli
from mlmon_sidecar.cli.hub import parse_address
from mlmon_sidecar.errors import MlmonError


class Recorder(ModuleType):
    """Stands for a module that would start servers; remembers the call, or raises."""

    def __init__(self, name: str, function: str, error: Exception | None = None) -> None:
        super().__init__(name)
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.error = error
        setattr(self, function, self.called)

    def called(self, *arguments: Any, **keywords: Any) -> None:
        self.calls.append((arguments, keywords))
        if self.error:
            raise self.error


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["mlmon", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_hub_gets_what_was_loaded_and_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Recorder("mlmon_sidecar.runtime.separate_hub", "run_hub")
    monkeypatch.setitem(sys.modules, "mlmon_sidecar.runtime.separate_hub", runtime)
    file = tmp_path / "own.toml"
    file.write_text("[hub]\nurl = 'unix:///run/h.sock'\n")
    assert run("hub", "--config", str(file), "--listen", "[::1]:8765", monkeypatch=monkeypatch) == 0
    assert run("hub", "--config", str(file), monkeypatch=monkeypatch) == 0
    ((loaded, address), _), ((_, nowhere), _) = runtime.calls
    assert loaded.settings.hub.url == "unix:///run/h.sock"
    assert (address, nowhere) == (("::1", 8765), None)


def test_demo_gets_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Recorder("mlmon_sidecar.demo.story", "main")
    monkeypatch.setitem(sys.modules, "mlmon_sidecar.demo.story", story)
    assert run("demo", "--once", "--json", "--port", "0", "--keep", str(tmp_path), monkeypatch=monkeypatch) == 0
    assert story.calls == [((), {"once": True, "as_json": True, "port": 0, "keep": tmp_path})]


def test_an_error_is_one_line_and_its_hint(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = MlmonError("port 8765 is in use", code="port_in_use", hint="Choose another with --port.")
    monkeypatch.setitem(sys.modules, "mlmon_sidecar.demo.story", Recorder("story", "main", error))
    assert run("demo", monkeypatch=monkeypatch) == 1
    told = capsys.readouterr()
    assert told.err == "error: port 8765 is in use [port_in_use]\nChoose another with --port.\n"
    assert told.out == ""


def test_a_fault_of_our_own_shows_its_type_and_no_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mlmon_sidecar.demo.story", Recorder("story", "main", KeyError("hunter2")))
    assert run("demo", monkeypatch=monkeypatch) == 1
    told = capsys.readouterr().err
    assert "KeyError inside mlmon" in told
    assert "hunter2" not in told
    monkeypatch.setenv("MLMON_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["mlmon", "demo"])
    with pytest.raises(KeyError):
        cli.main()


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("mlmon.example:8765", ("mlmon.example", 8765))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "8765", ":8765", "host:", "host:x", "host:65536", "host:-1", "host:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not HOST:PORT"):
        parse_address(text)
