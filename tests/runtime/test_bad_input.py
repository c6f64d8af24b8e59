"""Whatever comes in: the client reads what it would read without us, and the exchange is counted under its reason."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from runtime_serving import ID, Served, configure, eventually, serving

CAPTURED = "captured"
BIG = json.dumps({"income": 1, "loan": 2, "note": "x" * 60_000}).encode()
BOMB = gzip.compress(b'{"a":"' + b"0" * 3_000_000 + b'"}')
GOOD = b'{"income":50000,"loan":9000}'
GZIPPED = {"content-encoding": "gzip"}


class Case(NamedTuple):
    counted: str  # CAPTURED, a reason, or "" where we have no business
    path: str = "/lenient"
    body: bytes = GOOD
    headers: dict[str, str] = {}  # noqa: RUF012 - a default that nobody writes
    method: str = "POST"
    status: int = 200


CASES = {
    "good": Case(CAPTURED, "/score"),
    "not JSON": Case("not_json", body=b'{"income": 5'),
    "no body": Case("not_json", body=b""),
    "not UTF-8": Case("not_json", body=b'{"note":"\xff\xfe"}'),
    "a number": Case("wrong_shape", body=b"42"),
    "nested beyond reason": Case("not_json", body=b"[" * 40_000),
    "over the cap": Case("body_too_large", body=BIG),
    "inflates to three megabytes": Case("body_too_large", body=BOMB, headers=GZIPPED),
    "gzip cut short": Case("unsupported_encoding", body=gzip.compress(GOOD)[:-6], headers=GZIPPED),
    "another media type": Case("unsupported_media_type", body=b"a=1", headers={"content-type": "text/html"}),
    "more predictions than rows": Case("row_mismatch", "/two", b'{"instances":[{"a":1},{"a":2},{"a":3}]}'),
    "refused by the application": Case("not_a_prediction", "/score", b'{"income":"many"}', status=422),
    "no such path": Case("not_a_prediction", "/nothing", status=404),
    "the application raises": Case("application_error", "/raise", status=500),
    "answers no JSON": Case("unsupported_media_type", "/text"),
    "answers in a stream": Case("row_mismatch", "/stream"),
    "HEAD": Case("", "/score", b"", method="HEAD", status=405),
    "GET": Case("", "/score", b"", method="GET", status=405),
    "health path": Case("", "/health"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """The same application with us and without."""
    folder = tmp_path_factory.mktemp("bad-input")
    configure(folder)
    with serving(folder, "monitored") as monitored, serving(folder, "bare") as bare:
        yield monitored, bare


def raw_exchange(port: int, case: Case) -> bytes:
    """Everything the server writes, byte by byte."""
    headers = {"host": "t", "connection": "close", "content-type": "application/json"}
    headers |= {"content-length": str(len(case.body)), **case.headers}
    head = f"{case.method} {case.path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + case.body)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def without_id(answer: bytes) -> tuple[bytes, bool]:
    """The answer without our header, and whether it was there."""
    head, split, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    ours = [line for line in lines if line.lower().startswith(ID.encode())]
    assert len(ours) <= 1
    return b"\r\n".join(line for line in lines if line not in ours) + split + body, bool(ours)


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_theirs_and_the_exchange_is_counted(both: tuple[Served, Served], name: str) -> None:
    (monitored, bare), case = both, CASES[name]
    before = monitored.status()["counters"]
    expected = raw_exchange(bare.port, case)
    answer, has_id = without_id(raw_exchange(monitored.port, case))
    assert answer == expected
    assert answer.startswith(b"HTTP/1.1 %d " % case.status)
    assert has_id == (case.counted != "" and case.status != 500), "the framework answers 500 outside its middleware"
    after = monitored.counted(before["requests"] + (case.counted != ""))
    moved = {reason: n - before["dropped"].get(reason, 0) for reason, n in after["dropped"].items()}
    moved[CAPTURED] = after["captured"] - before["captured"]
    assert {reason: n for reason, n in moved.items() if n} == ({case.counted: 1} if case.counted else {})


def test_a_body_cut_off_by_its_sender(both: tuple[Served, Served]) -> None:
    monitored, _ = both
    before = monitored.status()["counters"]
    head = b"POST /lenient HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", monitored.port), timeout=30) as connection:
        connection.sendall(head + b'{"income": 5')
    after = monitored.counted(before["requests"] + 1)
    assert after["dropped"]["body_cut_off"] == before["dropped"].get("body_cut_off", 0) + 1


def test_after_all_that_it_still_serves(both: tuple[Served, Served], tmp_path: Path) -> None:
    monitored, _ = both
    before = monitored.status()["counters"]
    assert monitored.score().headers[ID]
    assert eventually(lambda: monitored.counted(before["requests"] + 1)["captured"]) == before["captured"] + 1
    assert not monitored.complaints
