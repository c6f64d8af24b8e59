"""Personal values planted wherever an application puts them, and every byte that is stored, sent, shown or logged."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from otlp_collector import SIGNALS, Collector
from runtime_serving import (
    ID,
    SOON_SECONDS,
    TOKEN,
    applicants,
    build_baseline,
    configure,
    counters,
    environment,
    eventually,
    serving,
    stored,
)

PLACES = (
    "body", "nested", "header", "query", "path", "exception", "error_body", "label", "category", "feature_name",
    "segment", "id", "sse", "multipart", "annotate", "observe",
)  # fmt: skip
OBSERVED = """
from mlmon_sidecar import Monitor
with Monitor("mlmon.toml", strict=True) as monitor:
    monitor.observe("loans", features=[{{"note": "{who}", "region": "{who}", "income": 1.0}}], predictions=["{who}"],
                    ids=["{who}"], segments=["{who}"], version="{who}")
"""


def planted(place: str) -> str:
    """Known by its form, and unlike all others: what is found says where it came from."""
    return f"canary.{place}@example.com"


class SocketTap:
    """A unix socket that hands everything on to another and remembers what went by."""

    def __init__(self, path: Path, target: Path) -> None:
        self.seen = bytearray()
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            there.connect(str(self._target))
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._hand_on, args=(source, sink), daemon=True).start()

    def _hand_on(self, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65_536):
            self.seen += data
            sink.sendall(data)
        sink.close()

    def close(self) -> None:
        self._listener.close()


class Sinks(NamedTuple):
    answers: Mapping[str, httpx.Response]  # of the application
    bytes: Mapping[str, bytes]  # every sink by name
    counters: Mapping[str, int]
    rows: int


@pytest.fixture(scope="module")
def sinks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sinks]:
    folder = tmp_path_factory.mktemp("personal")
    tap = Collector()
    configure(folder)
    healthy = applicants(2_000)
    for row in healthy[:200]:
        row["region"] = planted("category")
    build_baseline(folder, healthy)
    (folder / "healthy.csv").unlink()  # the user's own file
    configure(
        folder,
        head=f"clock_scale = 240\nclock_anchor = {time.time()}",
        models=f"""
            baseline = "{folder}/loans.json"
            id = "request.tx"
            routes = ["POST /score", "POST /told", "POST /refuse", "POST /echo-error", "POST /chat/*", "POST /lenient"]
        """,
        text=f"""
            segment = "request.branch"
            [privacy]
            store_features = ["region", "note", "contact", "income", "extra.deep.note", "{planted("feature_name")}"]
            [hub]
            url = "unix://{folder}/tap.sock"
            [export]
            endpoint = "{tap.url}"
            interval_seconds = 0.3
            prediction_logs = 1.0
        """,
    )
    (folder / "hub.toml").write_text((folder / "mlmon.toml").read_text().replace("tap.sock", "hub.sock"))
    frames = SocketTap(folder / "tap.sock", folder / "hub.sock")
    with hub_process(folder) as page, serving(folder, "personal") as served:
        answers = send_everything(served.client)
        headers = {"authorization": f"Bearer {TOKEN}"}
        label = {"id": answers["body"].headers[ID], "label": planted("label"), "source": planted("label")}
        alias = {"id": planted("id"), "label": "repaid"}
        sent = page.post("/feedback", json=[label, alias], headers=headers)
        assert sent.status_code == 200, sent.text
        who = planted("observe")
        batch = [sys.executable, "-c", OBSERVED.format(who=who)]
        subprocess.run(batch, cwd=folder, env=environment(), check=True, timeout=60)
        eventually(lambda: counters(folder).get("exchanges.accepted", 0), lambda count: count >= len(answers))
        eventually(lambda: stored(folder), lambda rows: len(rows) >= 7)
        shown = [page.get(path, headers=headers).content for path in ("/", "/api/status")]
        shown += [page.get(f"/api/{path}?model=loans", headers=headers).content for path in ("incidents", "series")]
        tap.wait("logs", lambda found: len([r for r in found if r.event_name == "mlmon.prediction"]) >= 6)
        tap.wait("metrics", lambda found: [m for m in found if m.name == "mlmon.window.samples"])
        rows = len(stored(folder))
    messages = {signal: [message.SerializeToString() for message in tap.arrived[signal]] for signal in SIGNALS}
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".toml"}
    frames.close()
    tap.close()
    yield Sinks(
        answers,
        {
            **files,
            **{f"otlp {signal}": b"\n".join(found) for signal, found in messages.items()},
            "frames": bytes(frames.seen),
            "page": b"\n".join(shown),
            "receipts": sent.content,
        },
        counters(folder),
        rows,
    )


@contextmanager
def hub_process(folder: Path) -> Iterator[httpx.Client]:
    """``mlmon hub`` with its page."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", "hub.toml"]
    command += ["--listen", f"127.0.0.1:{port}"]
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=log, stderr=log)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def answers() -> bool:
        assert process.poll() is None, (folder / "hub.log").read_text()
        try:
            return client.get("/").status_code < 500
        except httpx.TransportError:
            return False

    try:
        eventually(answers)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(SOON_SECONDS)


def send_everything(client: httpx.Client) -> dict[str, httpx.Response]:
    applicant = {"income": 50_000, "loan": 9_000}
    boundary = "x-y-z"
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\n{planted("multipart")}'
    part += f"\r\n--{boundary}--\r\n"
    chat = {"messages": [{"role": "user", "content": planted("sse")}]}
    told = {name: planted("annotate") for name in ("feature", "class", "segment")}
    return {
        "body": client.post("/score", json=applicant | {"note": f"call {planted('body')}"}),
        "nested": client.post("/lenient", json=applicant | {"extra": {"deep": {"note": planted("nested")}}}),
        "header": client.post(
            "/score", json=applicant, headers={"x-user": planted("header"), "cookie": planted("header")}
        ),
        "query": client.post(f"/score?user={planted('query')}", json=applicant),
        "path": client.post(f"/chat/{planted('path')}", json=chat),
        "exception": client.post("/refuse", content=planted("exception"), headers={"connection": "close"}),
        "error_body": client.post("/echo-error", content=planted("error_body")),
        "category": client.post("/score", json=applicant | {"region": planted("category")}),
        "feature_name": client.post("/lenient", json=applicant | {planted("feature_name"): 1.0}),
        "segment": client.post("/lenient", json=applicant | {"branch": planted("segment")}),
        "id": client.post("/score", json=applicant | {"tx": planted("id")}),
        "multipart": client.post(
            "/lenient", content=part, headers={"content-type": f"multipart/form-data; boundary={boundary}"}
        ),
        "annotate": client.post("/told", json=told),
    }


def test_everything_was_sent_and_recorded(sinks: Sinks) -> None:
    failed = {place: answer.status_code for place, answer in sinks.answers.items() if answer.status_code >= 400}
    assert failed == {"exception": 500, "error_body": 422}
    assert sinks.counters["redactions.email"] >= 8, "redaction had something to do"
    assert sinks.rows >= 7
    for name in ("mlmon.db", "hub.log", "loans.json", "otlp logs", "otlp metrics", "frames", "page"):
        assert sinks.bytes[name], name
    assert b"canary" not in b"".join(name.encode() for name in sinks.bytes)


@pytest.mark.parametrize("place", PLACES)
def test_no_sink_holds_it(sinks: Sinks, place: str) -> None:
    found = [name for name, content in sinks.bytes.items() if f"canary.{place}".encode() in content]
    if place == "exception":  # the server prints its own traceback, with us or without
        found = [name for name in found if not name.startswith("server-")]
    if place == "id":  # the answer to the one who sent it
        found = [name for name in found if name not in {"receipts", "frames"}]
    assert found == []
