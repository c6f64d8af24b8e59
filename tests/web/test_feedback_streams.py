"""Bodies of any length, CSV, keys, signatures and quotas."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mlmon_sidecar.records import Label, LabelReceipt
from mlmon_sidecar.web.app import WebOptions, build_web
from mlmon_sidecar.web.feedback import ITEMS_A_COMMIT, REJECTS_TOLD
from mlmon_sidecar.web.feedback_bodies import MAX_ITEMS, MAX_LINE_BYTES, CsvRows, JsonLines
from mlmon_sidecar.web.feedback_items import InvalidItem
from mlmon_sidecar.web.signature import sign

Hub = Any  # the fakes of conftest.py
Browser = Any
NDJSON = "application/x-ndjson"
NOW_MS = 1_772_546_400_000
KEY = "signing-key-0123456789"


def lines(count: int, bad: int = 0) -> bytes:
    good = [json.dumps({"id": f"tx-{number}", "label": "x"}) for number in range(count - bad)]
    return "\n".join([*good, *["{}"] * bad]).encode()


@pytest.fixture
def send(hub: Hub, options: WebOptions, browser: Browser, may_label: dict[str, str]) -> Any:
    def of(body: Any, media_type: str = NDJSON, changed: dict[str, Any] | None = None, **headers: str) -> Any:
        client = browser(build_web(hub, replace(options, **(changed or {}))))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post("/feedback", content=body, headers={**may_label, "content-type": media_type, **named})

    return of


# ---------------------------------------------------------------- length


def test_more_than_ten_thousand_lines_are_all_taken_and_summed_up(send: Any, hub: Hub) -> None:
    count = MAX_ITEMS + REJECTS_TOLD + 500

    async def pieces() -> AsyncIterator[bytes]:
        body = lines(count, bad=REJECTS_TOLD + 7)
        for at in range(0, len(body), 70_001):
            yield body[at : at + 70_001]

    answer = send(pieces()).json()
    assert (answer["total"], answer["accepted"], answer["invalid"]) == (count, MAX_ITEMS + 493, REJECTS_TOLD + 7)
    assert "items" not in answer
    assert len(answer["rejects"]) == REJECTS_TOLD
    first = {"item": MAX_ITEMS + 494, "id": "", "status": "invalid", "reason": "id is missing or not a string"}
    assert answer["rejects"][0] == first
    assert len(hub.taken) == MAX_ITEMS + 493


def test_ten_thousand_lines_are_answered_one_by_one(send: Any) -> None:
    answer = send(lines(MAX_ITEMS)).json()
    assert [item["id"] for item in answer["items"]] == [f"tx-{number}" for number in range(MAX_ITEMS)]


def test_a_hub_that_goes_away_in_between_acknowledges_nothing(
    send: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = hub.labels

    def once(labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        receipts: Sequence[LabelReceipt] = take(labels, key)
        hub.away = True
        return receipts

    monkeypatch.setattr(hub, "labels", once)
    assert send(lines(ITEMS_A_COMMIT + 1)).status_code == 503
    assert len(hub.taken) == ITEMS_A_COMMIT
    hub.away = False
    monkeypatch.setattr(hub, "labels", take)
    answer = send(lines(ITEMS_A_COMMIT + 1)).json()
    assert (answer["duplicate"], answer["accepted"]) == (ITEMS_A_COMMIT, 1)


def test_a_line_without_end_costs_no_memory_and_itself_alone() -> None:
    reader = JsonLines()
    found = [item for _ in range(50) for item in reader.feed(b"x" * 10_000)]
    found += [*reader.feed(b'\n{"id": 1}\n'), *reader.end()]
    assert [isinstance(item, InvalidItem) for item, _ in found] == [True, False]
    assert len(reader._lines._left) <= MAX_LINE_BYTES


@pytest.mark.parametrize("step", [1, 3, 1_000])
@pytest.mark.parametrize("reader", [JsonLines, CsvRows])
def test_where_the_pieces_are_cut_makes_no_difference(step: int, reader: type[JsonLines] | type[CsvRows]) -> None:
    body = (
        '{"id":"a","label":"é"}\r\n\n{"id":"b","label":1}'.encode()
        if reader is JsonLines
        else 'id,label\r\na,"x, ""y""\r\nz"\nb,é'.encode()
    )
    taker = reader()
    found = [item for at in range(0, len(body), step) for item, _ in taker.feed(body[at : at + step])]
    found += [item for item, _ in taker.end()]
    expected = [{"id": "a", "label": "é"}, {"id": "b", "label": 1}]
    assert found == (
        expected if reader is JsonLines else [{"id": "a", "label": 'x, "y"\nz'}, {"id": "b", "label": "é"}]
    )


# ---------------------------------------------------------------- CSV


def test_csv_reads_as_json_would(send: Any, hub: Hub) -> None:
    body = (
        "\ufeffid,label,observed_at,weight,source,model\n"
        "a,fraud,2023-11-14T22:13:20Z,2.5,bank,m\nb,3.0,1700000000,,,\nc,007,,,,\nd,x,yesterday,,,\ne,x\n"
    ).encode()
    answer = send(body, "text/csv; charset=utf-8").json()
    assert [item["status"] for item in answer["items"]] == ["accepted"] * 3 + ["invalid"] * 2
    taken = hub.taken["a"]
    assert taken == Label("a", "fraud", 1_700_000_000 * 10**9, "m", "bank", 2.5)
    assert (hub.taken["b"].label, hub.taken["b"].observed_ns) == ("3", 1_700_000_000 * 10**9)
    assert (hub.taken["c"].label, hub.taken["c"].observed_ns) == ("007", NOW_MS * 10**6)


@pytest.mark.parametrize("head", ["id", "label,when", "id,label,label", "id,label,color", '"id,label'])
def test_csv_must_name_its_columns(send: Any, hub: Hub, head: str) -> None:
    answer = send(f"{head}\na,b\n".encode(), "text/csv")
    assert (answer.status_code, not hub.taken) == (400, True)
    assert answer.json()["code"] in {"wrong_columns", "empty_body"}


# ---------------------------------------------------------------- forms of labels


@pytest.mark.parametrize(
    ("label", "text"),
    [(["b", "a", "b"], '["a","b"]'), ([], "[]"), ("up", "up"), (True, "true"), (0.75, "0.75"), (3, "3")],
)
def test_every_form_of_label_has_one_text(send: Any, hub: Hub, label: object, text: str) -> None:
    assert send(json.dumps({"id": "a", "label": label, "weight": 2}).encode(), "application/json").json()["accepted"]
    assert (hub.taken["a"].label, hub.taken["a"].weight) == (text, 2.0)


# ---------------------------------------------------------------- keys


def test_a_key_belongs_to_its_caller_its_batch_and_its_content(
    send: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    take = hub.labels

    def noted(labels: Sequence[Label], key: str = "") -> Any:
        keys.append(key)
        return take(labels, key)

    monkeypatch.setattr(hub, "labels", noted)
    send(lines(ITEMS_A_COMMIT + 1), idempotency_key="k")
    send(lines(ITEMS_A_COMMIT + 1), idempotency_key="k")
    send(lines(2), idempotency_key="k")
    send(lines(2), idempotency_key="l")
    send(lines(2))
    first, second, *_ = keys
    assert keys[2:4] == [first, second]
    assert first[:32] != second[:32]
    assert (keys[4][:32], keys[4][32:] == first[32:]) == (first[:32], False)
    assert keys[5][:32] != first[:32]
    assert keys[6] == ""
    assert all(len(key) == 64 for key in keys[:6])


def test_a_key_that_is_too_long_is_refused(send: Any) -> None:
    assert send(lines(1), idempotency_key="k" * 256).json()["code"] == "key_too_long"


# ---------------------------------------------------------------- signatures


def signed(body: bytes, at_ms: int = NOW_MS, key: str = KEY, idempotency_key: str = "") -> str:
    """By the standard library, from what the page of documentation says."""
    text = f"{at_ms}.{idempotency_key}.".encode() + body
    return f"t={at_ms},v1={hmac.new(key.encode(), text, hashlib.sha256).hexdigest()}"


def test_a_signed_body_is_taken_and_both_keys_of_a_change_are_valid(send: Any, hub: Hub) -> None:
    keys = {"signing_keys": ("other-key-0123456789", KEY)}
    for media_type, body in ((NDJSON, lines(3)), ("application/json", b'{"id": "j", "label": 1}')):
        assert send(body, media_type, keys, x_mlmon_signature=signed(body)).status_code == 200
    assert set(hub.taken) == {"tx-0", "tx-1", "tx-2", "j"}
    assert sign(KEY, lines(3), NOW_MS) == signed(lines(3))


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "signature_required"),
        ("v1=00", "signature_required"),
        (signed(lines(2)), "signature_wrong"),
        (signed(lines(3), key="another-key-0123456789"), "signature_wrong"),
        (signed(lines(3), idempotency_key="k"), "signature_wrong"),
        (signed(lines(3), NOW_MS - 300_001), "signature_expired"),
        (signed(lines(3), NOW_MS + 300_001), "signature_expired"),
    ],
)
def test_without_a_valid_signature_nothing_is_taken(send: Any, hub: Hub, header: str, code: str) -> None:
    answer = send(lines(3), changed={"signing_keys": (KEY,)}, x_mlmon_signature=header)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert not hub.taken


def test_a_replayed_signature_is_the_same_request(send: Any, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    take = hub.labels
    monkeypatch.setattr(hub, "labels", lambda labels, key="": (keys.append(key), take(labels, key))[1])
    for _ in range(2):
        send(lines(3), changed={"signing_keys": (KEY,)}, x_mlmon_signature=signed(lines(3)))
    assert keys[0] == keys[1] != ""


# ---------------------------------------------------------------- quotas


def test_what_is_over_the_quota_of_its_source_is_refused_item_by_item(send: Any, hub: Hub) -> None:
    items = [{"id": f"{source}{n}", "label": "x", "source": source} for n in range(4) for source in ("a", "b")]
    body = json.dumps([*items, {"id": "b9", "label": "x", "source": "c"}]).encode()
    answer = send(body, "application/json", {"labels_per_minute": 3}).json()
    assert [item["id"] for item in answer["items"] if item["status"] == "invalid"] == ["a3", "b3"]
    assert "3 labels a minute" in answer["items"][6]["reason"]
    assert len(hub.taken) == 7


def test_a_request_wholly_over_the_quota_is_429(
    hub: Hub, options: WebOptions, browser: Browser, may_label: dict[str, str]
) -> None:
    client = browser(build_web(hub, replace(options, labels_per_minute=2)))
    headers = {**may_label, "content-type": NDJSON}
    assert client.post("/feedback", content=lines(2), headers=headers).status_code == 200
    answer = client.post("/feedback", content=lines(2), headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "over_quota", "6")
