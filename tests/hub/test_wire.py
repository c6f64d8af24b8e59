"""Messages come back equal; whatever else arrives raises ``WireError`` and nothing but."""

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.hub import wire
from mlmon_sidecar.records import (
    Flush,
    FlushReceipt,
    FlushStatus,
    KeptRow,
    KeptRows,
    Label,
    LabelReceipt,
    LabelStatus,
    Pane,
    PaneKey,
    RedactedRows,
    Sample,
)

ON_A_BUSY_MACHINE = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(max_size=6)
INT = st.integers(-(2**63), 2**63 - 1)
REAL = st.none() | st.floats(allow_nan=False, allow_infinity=False)
ROW = st.builds(KeptRow, TEXT, TEXT, TEXT, TEXT, INT, REAL, st.none() | TEXT, REAL, st.none() | TEXT, TEXT, TEXT, TEXT)
PANE = st.builds(
    Pane,
    st.builds(PaneKey, TEXT, TEXT, TEXT, TEXT, INT),
    hnp.arrays(np.int64, st.integers(0, 20), elements=st.one_of(st.integers(0, 3), INT)),
    st.dictionaries(TEXT, st.lists(st.builds(Sample, st.integers(0, 2**64 - 1), TEXT), max_size=3).map(tuple)),
)
FLUSH = st.builds(
    Flush,
    recorder_id=TEXT,
    seq=INT,
    panes=st.lists(PANE, max_size=3).map(tuple),
    rows=st.builds(RedactedRows, st.lists(ROW, max_size=3).map(KeptRows.of), st.dictionaries(TEXT, INT, max_size=3)),
    counters=st.dictionaries(TEXT, INT, max_size=3),
    complete_through=st.dictionaries(TEXT, INT, max_size=3),
    sent_ns=INT,
    closing=st.booleans(),
)
LABELS = st.lists(st.builds(Label, TEXT, TEXT, INT, TEXT, TEXT, st.floats(0.1, 9)))
RECEIPTS = st.lists(st.builds(LabelReceipt, TEXT, st.sampled_from(LabelStatus), TEXT))
QUERY = ("series", {"model": "fraud"})

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "flush": wire.decode_flush,
    "flush receipt": wire.decode_flush_receipt,
    "labels": wire.decode_labels,
    "label receipts": wire.decode_label_receipts,
    "query": wire.decode_query,
    "error": wire.decode_error,
}
KEPT = KeptRows.of([KeptRow("a", "fraud", "v1", "", 5, 0.5, "yes", None, None, "", "", "{}")])
VECTOR = np.array([0, 1, 300, -5, 2**40], dtype=np.int64)
EXAMPLE = Flush(
    recorder_id="0197",
    seq=7,
    panes=(
        Pane(PaneKey("fraud", "v1", "", "abcd", 29_000_000), VECTOR, {"new": (Sample(2**64 - 1, "x"),)}),
        Pane(PaneKey("fraud", "v1", "", "abcd", 29_000_001), VECTOR[::-1].copy()),
    ),
    rows=RedactedRows(KEPT, {"email": 2}),
    counters={"exchanges.accepted": 3},
    complete_through={"fraud": 29_000_000},
    sent_ns=1,
)
MESSAGES = {
    "flush": wire.encode_flush(EXAMPLE),
    "flush receipt": wire.encode_flush_receipt(FlushReceipt(FlushStatus.COMMITTED, 2)),
    "labels": wire.encode_labels([Label("a", "yes", 5)]),
    "label receipts": wire.encode_label_receipts([LabelReceipt("a", LabelStatus.PENDING)]),
    "query": wire.encode_query(*QUERY),
    "error": wire.encode_error("StoreError", "disk_full", "Make room."),
}


def assert_same(one: Flush, other: Flush) -> None:
    assert [pane.key for pane in one.panes] == [pane.key for pane in other.panes]
    assert [pane.samples for pane in one.panes] == [pane.samples for pane in other.panes]
    for a, b in zip(one.panes, other.panes, strict=True):
        assert b.vector.dtype == np.int64
        assert np.array_equal(a.vector, b.vector)
    assert replace(one, panes=()) == replace(other, panes=())


@ON_A_BUSY_MACHINE
@given(FLUSH)
def test_a_flush_comes_back_equal(flush: Flush) -> None:
    data = wire.encode_flush(flush)
    assert_same(flush, wire.decode_flush(data))
    assert_same(flush, wire.decode_flush(bytearray(data)))
    assert wire.encode_flush(flush) == data


@ON_A_BUSY_MACHINE
@given(LABELS, RECEIPTS)
def test_labels_and_receipts_come_back_equal(labels: list[Label], receipts: list[LabelReceipt]) -> None:
    assert wire.decode_labels(wire.encode_labels(labels, "k")) == (labels, "k")
    decoded = wire.decode_label_receipts(wire.encode_label_receipts(receipts))
    assert decoded == receipts
    assert all(type(receipt.status) is LabelStatus for receipt in decoded)


def test_small_messages_come_back_equal() -> None:
    for status in FlushStatus:
        receipt = wire.decode_flush_receipt(wire.encode_flush_receipt(FlushReceipt(status, 3)))
        assert receipt == (status, 3)
        assert type(receipt.status) is FlushStatus
    assert wire.decode_query(MESSAGES["query"]) == QUERY
    assert wire.decode_error(MESSAGES["error"]) == ("StoreError", "disk_full", "Make room.")


@ON_A_BUSY_MACHINE
@given(st.binary(max_size=300), st.sampled_from(sorted(DECODERS)))
def test_any_bytes_are_refused(data: bytes, name: str) -> None:
    with pytest.raises(WireError):
        DECODERS[name](data)


@ON_A_BUSY_MACHINE
@given(st.sampled_from(sorted(DECODERS)), st.data())
def test_a_changed_message_raises_nothing_else(name: str, data: st.DataObject) -> None:
    message = bytearray(MESSAGES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        how = data.draw(st.sampled_from(["flip", "cut", "insert", "double"]))
        if how == "flip":
            message[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del message[at : at + data.draw(st.integers(1, 8))]
        elif how == "insert":
            message[at:at] = data.draw(st.binary(max_size=8))
        else:
            message[at:at] = message[:at]
        message = message or bytearray(1)
    try:
        DECODERS[name](bytes(message))
    except WireError as error:
        assert error.code in {
            "wire_malformed",
            "wire_version",
            "vector_malformed",
            "vector_format",
            "samples_malformed",
        }


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


@ON_A_BUSY_MACHINE
@given(st.sampled_from(sorted(DECODERS)), st.data())
def test_any_json_in_a_field_raises_nothing_else(name: str, data: st.DataObject) -> None:
    header, body = take_apart(MESSAGES[name])
    field = data.draw(st.sampled_from(sorted(header)))
    value = header[field]
    if type(value) is list and value and data.draw(st.booleans()):  # one member of one entry
        value[0][data.draw(st.integers(0, len(value[0]) - 1))] = data.draw(JSON_VALUES)
    else:
        header[field] = data.draw(JSON_VALUES)
    try:
        DECODERS[name](put_together(MESSAGES[name], header, body))
    except WireError:
        pass


def take_apart(message: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack_from("<I", message, 8)
    return orjson.loads(message[12 : 12 + size]), message[12 + size :]


def put_together(message: bytes, header: dict[str, Any], body: bytes) -> bytes:
    packed = orjson.dumps(header)
    return message[:8] + struct.pack("<I", len(packed)) + packed + body


def columns(**others: object) -> list[object]:
    """Of the example's rows, some replaced."""
    return [others.get(name, list(KEPT.column(name))) for name in KeptRow._fields]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recorder_id", 5),
        ("recorder_id", None),
        ("seq", True),
        ("seq", 2**63),
        ("seq", 1.0),
        ("closing", 1),
        ("counters", {"a": "1"}),
        ("counters", [["a", 1]]),
        ("complete_through", {"fraud": None}),
        ("rows", None),
        ("rows", []),
        ("rows", [["a"]]),
        ("rows", columns(prediction_id="a")),
        ("rows", columns(score=["0.5"])),
        ("rows", columns(score=[2**63])),
        ("rows", columns(event_ns=[2**63])),
        ("rows", columns(event_ns=[True])),
        ("rows", columns(predicted=[])),
        ("rows", columns(predicted=["yes", "no"])),
        ("panes", [["fraud", "v1", "", "abcd", 1, -8, 8]]),
        ("panes", []),
    ],
)
def test_a_field_of_another_type_is_refused(field: str, value: object) -> None:
    header, body = take_apart(MESSAGES["flush"])
    wire.decode_flush(put_together(MESSAGES["flush"], header, body))
    header[field] = value
    with pytest.raises(WireError) as refused:
        wire.decode_flush(put_together(MESSAGES["flush"], header, body))
    assert refused.value.code == "wire_malformed"
    assert "fraud" not in str(refused.value)


def test_negative_lengths_that_add_up_are_refused() -> None:
    header, body = take_apart(wire.encode_flush(replace(EXAMPLE, panes=EXAMPLE.panes[1:])))
    assert body.endswith(b"{}")
    header["panes"][0][-2:] = [-2, len(body) + 2]
    with pytest.raises(WireError, match="other lengths"):
        wire.decode_flush(put_together(MESSAGES["flush"], header, body))


@pytest.mark.parametrize("cut", range(0, len(MESSAGES["flush"]), 7))
def test_a_cut_flush_is_refused(cut: int) -> None:
    with pytest.raises(WireError):
        wire.decode_flush(MESSAGES["flush"][:cut])


def test_versions_kinds_and_tails_are_checked() -> None:
    later = bytearray(MESSAGES["query"])
    later[4] += 1
    with pytest.raises(WireError) as refused:
        wire.decode_query(later)
    assert refused.value.code == "wire_version"
    with pytest.raises(WireError, match="is not a flush"):
        wire.decode_flush(MESSAGES["labels"])
    for name, message in MESSAGES.items():
        with pytest.raises(WireError):
            DECODERS[name](message + b"x")


def test_a_deeply_nested_header_is_refused() -> None:
    with pytest.raises(WireError):
        wire.decode_query(MESSAGES["query"][:8] + struct.pack("<I", 400_000) + b"[" * 200_000 + b"]" * 200_000)


def test_limits_hold_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_PANES", 1)
    with pytest.raises(WireError) as at_sender:
        wire.encode_flush(EXAMPLE)
    with pytest.raises(WireError) as at_receiver:
        wire.decode_flush(MESSAGES["flush"])
    assert at_sender.value.code == at_receiver.value.code == "frame_too_large"
    monkeypatch.setattr(wire, "MAX_PANES", 2)
    for limit in ("MAX_HEADER_BYTES", "MAX_FRAME_BYTES"):
        with monkeypatch.context() as patch:
            patch.setattr(wire, limit, 100)
            with pytest.raises(WireError):
                wire.encode_flush(EXAMPLE)
            with pytest.raises(WireError):
                wire.decode_flush(MESSAGES["flush"])
    wire.decode_flush(wire.encode_flush(EXAMPLE))
