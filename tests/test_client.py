import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
import uvicorn

from mlmon_sidecar.client import ATTEMPTS, FeedbackClient, Label
from mlmon_sidecar.errors import FeedbackError, HubUnavailable
from mlmon_sidecar.records import Label as TakenLabel
from mlmon_sidecar.records import LabelReceipt, LabelStatus
from mlmon_sidecar.web.app import WebOptions, build_web
from mlmon_sidecar.web.tokens import Scope, TokenSet

TOKEN = "label-token-0123456789"
NOW = datetime(2026, 3, 3, 14, tzinfo=UTC)


def answer_all(request: httpx.Request) -> httpx.Response:
    items = [orjson.loads(line) for line in request.content.splitlines()]
    receipts = [{"id": item["id"], "status": "accepted", "reason": ""} for item in items]
    return httpx.Response(200, content=orjson.dumps({"items": receipts}))


class Server:
    """Answers from a script, then as a feedback endpoint would."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.script.pop(0) if self.script else answer_all
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, httpx.Response) else step(request)

    def client(self, url: str = "http://hub", **options: Any) -> FeedbackClient:
        transport = httpx.MockTransport(self)
        return FeedbackClient(
            url, **({"token": TOKEN} | options), transport=transport, sleep=self.pauses.append, now=lambda: NOW
        )


def labels(count: int) -> Iterator[Label]:
    return (Label(id=f"tx-{number}", label="fraud", observed_at=NOW) for number in range(count))


def test_labels_go_in_requests_of_a_thousand() -> None:
    server = Server()
    with server.client("http://hub/mlmon/") as client:
        receipt = client.send(labels(2_001))
    assert [len(request.content.splitlines()) for request in server.requests] == [1_000, 1_000, 1]
    assert {str(request.url) for request in server.requests} == {"http://hub/mlmon/feedback"}
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}
    assert receipt.accepted == 2_001
    assert [item.id for item in receipt.items] == [f"tx-{number}" for number in range(2_001)]


def test_nothing_to_send_sends_nothing() -> None:
    server = Server()
    assert server.client().send([]).items == ()
    assert not server.requests


@pytest.mark.parametrize("fault", [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.Response(503)])
def test_a_fault_that_passes_is_tried_again_with_the_same_bytes(fault: Any) -> None:
    server = Server(fault, fault)
    receipt = server.client().send([Label(id="a", label="x")])
    assert receipt.accepted == 1
    assert server.pauses == [0.4, 0.8]
    assert len({request.content for request in server.requests}) == 1


def test_a_hub_that_stays_away_is_an_error() -> None:
    server = Server(*[httpx.ConnectError("x")] * ATTEMPTS)
    with pytest.raises(FeedbackError) as raised:
        server.client().send(labels(1))
    assert raised.value.code == "hub_unreachable"
    assert len(server.requests) == ATTEMPTS
    assert len(server.pauses) == ATTEMPTS - 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(401, json={"code": "token_required", "hint": "Send one."}), "token_required"),
        (httpx.Response(404, text="<html>"), "http_404"),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), "http_302"),
        (httpx.Response(200, text="hello"), "answer_form"),
        (httpx.Response(200, json={"items": []}), "answer_form"),
    ],
)
def test_a_refusal_is_not_tried_again(answer: httpx.Response, code: str) -> None:
    server = Server(answer)
    with pytest.raises(FeedbackError) as raised:
        server.client().send(labels(1))
    assert raised.value.code == code
    assert raised.value.hint
    assert len(server.requests) == 1
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("url", ["hub:8000", "ftp://hub", ""])
def test_an_impossible_url_is_an_error_at_once(url: str) -> None:
    pauses: list[float] = []
    with pytest.raises(FeedbackError) as raised, FeedbackClient(url, TOKEN, sleep=pauses.append) as client:
        client.send(labels(1))
    assert raised.value.code == "url_form"
    assert not pauses


def test_a_rotated_token_file_is_read_at_the_next_send(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    server = Server()
    client = server.client(token=None, token_file=file)
    client.send(labels(1))
    file.write_text("new\nold\n")
    client.send(labels(1))
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("content", [None, b"", b"\xff"])
def test_a_token_file_without_token_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FeedbackError, match="token_file_unreadable"):
        Server().client(token=None, token_file=file).send(labels(1))


@pytest.mark.parametrize("options", [{}, {"token": TOKEN, "token_file": "f"}])
def test_one_source_of_the_token_is_asked_for(options: Any) -> None:
    with pytest.raises(FeedbackError, match="token_missing"):
        FeedbackClient("http://hub", **options)


@pytest.mark.parametrize(
    ("label", "sent"),
    [
        (Label(id="a", label="x"), {"id": "a", "label": "x", "observed_at": "2026-03-03T14:00:00+00:00"}),
        (
            Label("a", True, datetime(2026, 3, 3, 16, tzinfo=timezone(timedelta(hours=2))), "m", "bank"),
            {"id": "a", "label": True, "observed_at": "2026-03-03T14:00:00+00:00", "model": "m", "source": "bank"},
        ),
        (Label(id="a", label=np.int64(3)), {"id": "a", "label": 3, "observed_at": "2026-03-03T14:00:00+00:00"}),
    ],
)
def test_the_form_on_the_wire(label: Label, sent: dict[str, Any]) -> None:
    server = Server()
    server.client().send([label])
    assert orjson.loads(server.requests[0].content) == sent


@pytest.mark.parametrize(
    ("label", "code"),
    [(Label("a", "x", datetime(2026, 3, 3)), "naive_time"), (Label("a", object()), "label_form")],  # type: ignore[arg-type]
)
def test_a_label_that_cannot_be_sent_is_an_error(label: Label, code: str) -> None:
    with pytest.raises(FeedbackError) as raised:
        Server().client().send([label])
    assert raised.value.code == code


class StubbornHub:
    """Is away for the first call; then takes labels as the store would."""

    def __init__(self) -> None:
        self.calls = 0
        self.taken: dict[str, TakenLabel] = {}

    def labels(self, given: Any, key: str = "") -> list[LabelReceipt]:
        self.calls += 1
        if self.calls == 1:
            raise HubUnavailable("away", code="hub_starting")
        known = [label.id in self.taken for label in given]
        self.taken |= {label.id: label for label in given}
        statuses = [LabelStatus.DUPLICATE if before else LabelStatus.ACCEPTED for before in known]
        return [LabelReceipt(label.id, status) for label, status in zip(given, statuses, strict=True)]


class SystemTime:
    def unix_ns(self) -> int:
        return 1


def test_against_the_real_endpoint_over_a_real_socket() -> None:
    hub = StubbornHub()
    tokens = TokenSet.of({Scope.LABEL: [TOKEN]})
    app = build_web(hub, WebOptions(tokens=tokens, clock=SystemTime()))  # type: ignore[arg-type]  # the parts used here
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        pauses: list[float] = []
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with FeedbackClient(url, TOKEN, sleep=pauses.append) as client:
            receipt = client.send([*labels(1_500), Label(id="not an id", label="x")])
            assert (receipt.accepted, receipt.invalid, pauses) == (1_500, 1, [1.0])  # as Retry-After says
            assert receipt.items[-1].status is LabelStatus.INVALID
            assert client.send(labels(10)).duplicate == 10
        assert hub.taken["tx-7"].observed_ns == int(NOW.timestamp()) * 10**9
        with pytest.raises(FeedbackError, match="token_required"), FeedbackClient(url, "wrong") as client:
            client.send(labels(1))
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
