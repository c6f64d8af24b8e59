"""What ``mlmon doctor`` says of each part, with that part well and broken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from runtime_serving import configure, mlmon, serving

from mlmon_sidecar.config import load
from mlmon_sidecar.runtime.doctor import Found, Verdict, examine

NOW = 1_790_000_000.0


class Endpoint:
    """Answers as told, and keeps what it got."""

    def __init__(self) -> None:
        self.status, self.date = 200, NOW
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response_only(outer.status)
                self.send_header("date", formatdate(outer.date, usegmt=True))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.close()


def look(folder: Path, text: str = "", environ: dict[str, str] | None = None, **options: Any) -> list[Found]:
    loaded = load(configure(folder, text, **options), environ={}, store=f"sqlite:///{folder}/mlmon.db")
    return list(examine(loaded, environ or {}, now=lambda: NOW))


def of(found: list[Found], part: str) -> list[tuple[Verdict, str]]:
    return [(one.verdict, one.text) for one in found if one.part == part]


def test_nothing_is_configured_nothing_fails_and_nothing_is_written(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert not [one for one in found if one.verdict in (Verdict.FAIL, Verdict.WARN)]
    assert of(found, "export") == [(Verdict.NOTE, "no endpoint is set: nothing is sent by pipelines of our own")]
    ((verdict, text),) = of(found, "sqlite")
    assert verdict is Verdict.OK and text.startswith("version 3.")
    assert {path.name for path in tmp_path.iterdir()} == {"mlmon.toml", "token"}


def test_an_endpoint_that_answers(tmp_path: Path, endpoint: Endpoint) -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret"}
    found = look(tmp_path, f'[export]\nendpoint = "{endpoint.url}"\nprediction_logs = 0.01', environ)
    assert of(found, "export") == [
        (Verdict.OK, f"{signal}: {endpoint.url}/v1/{signal} by http/protobuf answers 200")
        for signal in ("metrics", "logs")
    ]
    assert [(path, headers["api-key"], body) for path, headers, body in endpoint.got] == [
        ("/v1/metrics", "s3cret", b""),
        ("/v1/logs", "s3cret", b""),
    ]
    assert {verdict for verdict, _ in of(found, "clock")} == {Verdict.OK}
    assert not [one for one in found if "s3cret" in one.text + one.hint]
    leaves = " ".join(text for _, text in of(found, "leaves"))
    assert f"metrics to {endpoint.url}/v1/metrics" in leaves and "1.00% of the predictions" in leaves
    assert "prompts" not in leaves


@pytest.mark.parametrize(
    ("status", "verdict"), [(401, Verdict.FAIL), (403, Verdict.FAIL), (404, Verdict.FAIL), (503, Verdict.WARN)]
)
def test_an_endpoint_that_refuses(tmp_path: Path, endpoint: Endpoint, status: int, verdict: Verdict) -> None:
    endpoint.status = status
    found = look(tmp_path, f'[export]\nendpoint = "{endpoint.url}"')
    assert {said for said, _ in of(found, "export")} == {verdict}


@pytest.mark.parametrize(("ahead", "word"), [(600, "ahead of"), (-600, "behind")])
def test_a_clock_that_is_wrong(tmp_path: Path, endpoint: Endpoint, ahead: int, word: str) -> None:
    endpoint.date = NOW - ahead
    found = look(tmp_path, f'[export]\nendpoint = "{endpoint.url}"')
    assert (Verdict.WARN, f"this clock is 600 s {word} the endpoint's") in of(found, "clock")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_an_endpoint_that_is_not_there(tmp_path: Path, protocol: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = look(tmp_path, f'[export]\nendpoint = "http://127.0.0.1:{port}"\nprotocol = "{protocol}"')
    assert {verdict for verdict, _ in of(found, "export")} == {Verdict.FAIL}


def test_a_grpc_endpoint_that_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        found = look(tmp_path, f'[export]\nendpoint = "{url}"\nprotocol = "grpc"')
    assert {verdict for verdict, _ in of(found, "export")} == {Verdict.OK}


def test_a_preset_without_its_credentials(tmp_path: Path) -> None:
    found = look(tmp_path, '[export]\npreset = "datadog"')
    assert of(found, "credentials") == [
        (Verdict.FAIL, "preset datadog needs the variable DD_API_KEY, which is not set")
    ]


def test_a_separate_hub_that_is_not_there(tmp_path: Path) -> None:
    found = look(tmp_path, f'[hub]\nurl = "unix://{tmp_path}/none.sock"')
    assert of(found, "hub") == [(Verdict.FAIL, f"none answers at {tmp_path}/none.sock")]


def test_a_baseline_that_is_not_there(tmp_path: Path) -> None:
    found = look(tmp_path, models=f'baseline = "{tmp_path}/none.json"')
    ((verdict, text),) = of(found, "configuration")
    assert verdict is Verdict.FAIL and "none.json" in text


def test_the_command_beside_a_server_that_runs(tmp_path: Path) -> None:
    configure(tmp_path, models='routes = ["POST /score"]')
    with serving(tmp_path, "monitored") as server:
        server.status()
        done = mlmon(tmp_path, "doctor", "--config", "mlmon.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line[:1].strip()}
    assert (lines["hub"], lines["store"], lines["sqlite"]) == ("ok", "ok", "ok")
    configure(tmp_path, '[hub]\nurl = "unix:///nowhere.sock"')
    failing = mlmon(tmp_path, "doctor", "--config", "mlmon.toml")
    assert failing.returncode == 1 and "Start mlmon hub" in failing.stdout
