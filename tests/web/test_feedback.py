import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from mlmon_sidecar.web.feedback_bodies import MAX_BODY_BYTES, MAX_ITEMS

Hub = Any  # the fakes of conftest.py
Client = Any
NOW_NS = 1_772_546_400_000_000_000


@pytest.fixture
def post(client: Client, may_label: dict[str, str]) -> Any:
    def send(content: Any, media_type: str = "application/json") -> Any:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return client.post("/feedback", content=body, headers={**may_label, "content-type": media_type})

    return send


def test_one_item(post: Any, hub: Hub) -> None:
    answer = post(
        {"id": "tx-1", "label": "fraud", "observed_at": "2026-03-01T12:00:00Z", "model": "m", "source": "bank"}
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 1, "duplicate": 0, "corrected": 0, "pending": 0, "ambiguous": 0, "expired": 0,
        "quarantined": 0, "invalid": 0,
        "items": [{"id": "tx-1", "status": "accepted", "reason": ""}],
    }  # fmt: skip
    taken = hub.taken["tx-1"]
    assert (taken.label, taken.model, taken.source) == ("fraud", "m", "bank")
    assert taken.observed_ns == int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 10**9


def test_a_list_answers_in_order_and_commits_the_valid_ones(post: Any, hub: Hub) -> None:
    items = [
        {"id": "a", "label": 1},
        {"id": "", "label": 1},
        {"id": "later-b", "label": True},
        {"id": "a", "label": 1.0},
        7,
    ]
    answer = post(items)
    assert answer.status_code == 200
    assert [item["status"] for item in answer.json()["items"]] == [
        "accepted",
        "invalid",
        "pending",
        "duplicate",
        "invalid",
    ]
    assert [item["id"] for item in answer.json()["items"]] == ["a", "", "later-b", "a", ""]
    assert answer.json()["invalid"] == 2
    assert set(hub.taken) == {"a", "later-b"}


def test_ndjson_with_one_broken_line(post: Any, hub: Hub) -> None:
    answer = post(b'{"id":"a","label":"x"}\n\nnot json\n{"id":"b","label":"y"}\r\n', "application/x-ndjson")
    assert [item["status"] for item in answer.json()["items"]] == ["accepted", "invalid", "accepted"]
    assert set(hub.taken) == {"a", "b"}


@pytest.mark.parametrize(
    ("given", "text"),
    [("fraud", "fraud"), (True, "true"), (False, "false"), (3, "3"), (3.0, "3"), (0.25, "0.25"), ("né", "né")],
)
def test_labels_become_category_text(post: Any, hub: Hub, given: object, text: str) -> None:
    post({"id": "a", "label": given})
    assert hub.taken["a"].label == text


@pytest.mark.parametrize(
    ("given", "expected_ns"),
    [
        (None, NOW_NS),
        (1_700_000_000, 1_700_000_000 * 10**9),
        (1_700_000_000.5, 1_700_000_000_500_000_000),
        ("2023-11-14T22:13:20Z", 1_700_000_000 * 10**9),
        ("2023-11-14t22:13:20.000000001z", 1_700_000_000 * 10**9 + 1),
        ("2023-11-15 00:13:20.25+02:00", 1_700_000_000 * 10**9 + 250_000_000),
    ],
)
def test_times(post: Any, hub: Hub, given: object, expected_ns: int) -> None:
    post({"id": "a", "label": "x", "observed_at": given})
    assert hub.taken["a"].observed_ns == expected_ns


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"id": "a"},
        {"label": "x"},
        {"id": 5, "label": "x"},
        {"id": "x" * 521, "label": "x"},
        {"id": "a b", "label": "x"},
        {"id": "a\u0000", "label": "x"},
        {"id": "a\r\nset-cookie: x", "label": "x"},
        {"id": "\u202e", "label": "x"},
        {"id": "a", "label": None},
        {"id": "a", "label": ""},
        {"id": "a", "label": [1]},
        {"id": "a", "label": {"x": 1}},
        {"id": "a", "label": ["x"] * 51},
        {"id": "a", "label": "x", "weight": 0},
        {"id": "a", "label": "x", "weight": "1"},
        {"id": "a", "label": "x", "weight": True},
        {"id": "a", "label": "x\u001b[2J"},
        {"id": "a", "label": "x" * 201},
        {"id": "a", "label": "x", "model": 5},
        {"id": "a", "label": "x", "source": "y" * 201},
        {"id": "a", "label": "x", "observedAt": "2023-11-14T22:13:20Z"},
        {"id": "a", "label": "x", "observed_at": "yesterday"},
        {"id": "a", "label": "x", "observed_at": "2023-11-14T22:13:20"},
        {"id": "a", "label": "x", "observed_at": "2023-02-30T22:13:20Z"},
        {"id": "a", "label": "x", "observed_at": "٢٠٢٣-11-14T22:13:20Z"},
        {"id": "a", "label": "x", "observed_at": "0001-01-01T00:00:00+23:59"},
        {"id": "a", "label": "x", "observed_at": 1_700_000_000_000},
        {"id": "a", "label": "x", "observed_at": -1},
        {"id": "a", "label": "x", "observed_at": True},
        {"id": "a", "label": "x", "observed_at": 10**30},
        "text",
        None,
        [],
    ],
)
def test_an_item_that_cannot_be_used_says_why_and_echoes_nothing(post: Any, hub: Hub, item: object) -> None:
    answer = post([item, {"id": "good", "label": "x"}])
    assert answer.status_code == 200
    bad, good = answer.json()["items"]
    assert bad["status"] == "invalid"
    assert bad["reason"]
    assert bad["id"] in {"", "a"}
    assert good["status"] == "accepted"
    assert set(hub.taken) == {"good"}


def test_a_second_label_is_a_correction_and_the_same_a_duplicate(post: Any) -> None:
    statuses = [post({"id": "a", "label": label}).json()["items"][0]["status"] for label in ("x", "x", "y")]
    assert statuses == ["accepted", "duplicate", "corrected"]


@pytest.mark.parametrize(
    ("body", "media_type", "code"),
    [
        (b"", "application/json", "invalid_json"),
        (b"{", "application/json", "invalid_json"),
        (b"\xff", "application/json", "invalid_json"),
        (b"[" * 100_000, "application/json", "invalid_json"),
        (b"NaN", "application/json", "invalid_json"),
        (b"5", "application/json", "wrong_shape"),
        (b"\n\n", "application/x-ndjson", "empty_body"),
    ],
)
def test_a_body_that_cannot_be_used_is_400_with_code_and_hint(
    post: Any, body: bytes, media_type: str, code: str
) -> None:
    answer = post(body, media_type)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert answer.json()["hint"]


def test_ten_thousand_items_are_taken_and_one_more_is_413(post: Any, hub: Hub) -> None:
    items = [{"id": f"tx-{number}", "label": "x"} for number in range(MAX_ITEMS + 1)]
    answer = post(items)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_items")
    assert not hub.taken
    assert post(items[:-1]).json()["accepted"] == MAX_ITEMS


def test_an_empty_list_is_answered_without_asking_the_hub(post: Any, hub: Hub) -> None:
    hub.away = True
    assert post([]).json()["items"] == []


def test_a_body_above_the_cap_is_413_declared_or_not(client: Client, may_label: dict[str, str], hub: Hub) -> None:
    headers = {**may_label, "content-type": "application/json"}
    body = b" " * (MAX_BODY_BYTES + 1)

    async def halves() -> AsyncIterator[bytes]:
        yield body[:1000]
        yield body[1000:]

    declared = client.post("/feedback", content=body, headers=headers)
    chunked = client.post("/feedback", content=halves(), headers=headers)
    assert [answer.status_code for answer in (declared, chunked)] == [413, 413]
    assert declared.json()["code"] == chunked.json()["code"] == "body_too_large"


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_other_media_types_are_415(post: Any, media_type: str) -> None:
    assert post({"id": "a", "label": "x"}, media_type).status_code == 415


def test_compressed_bodies_are_415(client: Client, may_label: dict[str, str]) -> None:
    headers = {**may_label, "content-type": "application/json", "content-encoding": "gzip"}
    assert client.post("/feedback", content=b"\x1f\x8b", headers=headers).status_code == 415


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"]
)
def test_json_media_types_are_taken(post: Any, media_type: str) -> None:
    assert post({"id": "a", "label": "x"}, media_type).status_code == 200


def test_nothing_is_acknowledged_without_a_hub(post: Any, hub: Hub) -> None:
    hub.away = True
    answer = post({"id": "a", "label": "x"})
    assert answer.status_code == 503
    assert answer.json() == {"code": "hub_starting", "message": "No hub answers", "hint": "It answers within seconds."}
    assert answer.headers["retry-after"] == "1"
    assert not hub.taken


def test_a_hub_that_answers_fewer_receipts_is_a_fault_not_an_acknowledgement(
    post: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "labels", lambda labels: [])
    assert post({"id": "a", "label": "x"}).status_code == 500
