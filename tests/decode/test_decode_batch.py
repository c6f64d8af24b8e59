"""The stage as a whole: golden columns, and an account of every exchange whatever it holds."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.body import MAX_INFLATED_BYTES
from mlmon_sidecar.decode.exchange import decode_exchange
from mlmon_sidecar.decode.json_decoder import JsonDecoder
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import WEIGHT_UNIT, Annotation, Decoded, End, Exchange
from mlmon_sidecar.selectors import Selector

Make = Callable[..., Exchange]
JSON = (b"content-type", b"application/json")
OPTIONS = DecodeOptions("m", kind="binary")


def unix_at(monotonic_ns: int) -> int:
    return 1_700_000_000_000_000_000 + monotonic_ns


def run(*exchanges: Exchange, options: DecodeOptions = OPTIONS) -> Decoded:
    decoded = decode(exchanges, options, unix_at)
    assert decoded.exchanges + sum(decoded.dropped.values()) == len(exchanges)
    ids = {name.partition("/")[0] for batch in decoded.batches for name in batch.prediction_ids}
    assert decoded.exchanges == len(ids)
    for batch in decoded.batches:
        columns = [*batch.features.values(), batch.event_ns, batch.weight, batch.aliases, batch.score, batch.predicted]
        columns += [batch.confidence, batch.segments, batch.traces, batch.exemplar]
        assert {len(column) for column in columns} == {batch.rows}
    return decoded


def test_golden_columns(exchange: Make) -> None:
    options = DecodeOptions(
        "m",
        version=Selector.compile("response.model.version"),
        id=Selector.compile("request.tx"),
        score=Selector.compile("response.score"),
        segment=Selector.compile("header.x-country"),
        threshold=0.8,
        positive="fraud",
        negative="legit",
        slow_ns=5_000,
    )
    model = {"version": "v18"}
    first = exchange(
        {"tx": 77, "amount": 1.5, "who": {"age": 30}},
        {"score": 0.9, "model": model},
        prediction_id="a",
        request_headers=(JSON, (b"x-country", b"DE")),
        trace_id=5,
        span_id=6,
    )
    second = exchange(
        [{"tx": "x", "amount": 2}, {"tx": "y", "new": True}, {"amount": None}],
        [{"score": 0.1, "model": model}, {"score": 0.85}, {"score": None}],
        prediction_id="b",
        started_ns=2_000,
        ended_ns=7_000,
    )
    other = exchange({"tx": 1}, {"score": 0.5, "model": {"version": "v19"}}, prediction_id="c")
    decoded = run(first, other, second, options=options)
    assert [batch.version for batch in decoded.batches] == ["v18", "v19"]
    batch = decoded.batches[0]
    assert batch.model == "m"
    assert batch.features == {
        "amount": [1.5, 2, None, None],
        "who.age": [30, None, None, None],
        "new": [None, None, True, None],
    }
    assert batch.prediction_ids == ["a", "b/0", "b/1", "b/2"]
    assert batch.aliases == ["77", "x", "y", None]
    assert batch.event_ns.tolist() == [unix_at(1_000)] + [unix_at(2_000)] * 3
    assert batch.weight.tolist() == [WEIGHT_UNIT] + [round(WEIGHT_UNIT / 3)] * 3
    assert np.array_equal(batch.score, [0.9, 0.1, 0.85, np.nan], equal_nan=True)
    assert batch.predicted == ["fraud", "legit", "fraud", None]
    assert np.allclose(batch.confidence, [0.9, 0.9, 0.85, np.nan], equal_nan=True)
    assert batch.segments == ["DE", None, None, None]
    assert batch.traces == [(5, 6), (0, 0), (0, 0), (0, 0)]
    assert batch.exemplar == [False, True, True, True]


def test_a_constant_version_and_none_at_all(exchange: Make) -> None:
    one = exchange({"a": 1}, {"score": 0.5})
    assert run(one, options=DecodeOptions("m", version="v1")).batches[0].version == "v1"
    assert run(one).batches[0].version == "unversioned"
    by_header = DecodeOptions("m", version=Selector.compile("header.x-version"))
    assert by_header.headers == {b"content-type", b"content-encoding", b"x-version"}
    assert run(one._replace(response_headers=((b"x-version", b"7"),)), options=by_header).batches[0].version == "7"


GOOD = {"score": 0.5}
REASONS: dict[str, tuple[str, dict[str, Any]]] = {
    "client error": ("not_a_prediction", {"status": 422}),
    "server error": ("not_a_prediction", {"status": 503}),
    "redirect": ("not_a_prediction", {"status": 307}),
    "preflight": ("not_a_prediction", {"method": "OPTIONS"}),
    "raised": ("application_error", {"end": End.ERROR, "status": 0, "error_type": "ValueError"}),
    "no answer": ("application_error", {"status": 0}),
    "client gone": ("body_cut_off", {"end": End.DISCONNECT}),
    "request too large": ("body_too_large", {"request_body": (), "request_bytes": 50_000}),
    "response too large": ("body_too_large", {"response_body": (), "response_bytes": 50_000}),
    "empty": ("not_json", {"request_body": (), "request_bytes": 0}),
    "brotli": ("unsupported_encoding", {"request_headers": (JSON, (b"content-encoding", b"br"))}),
    "gzip that is none": ("unsupported_encoding", {"request_headers": (JSON, (b"content-encoding", b"gzip"))}),
    "picture": ("unsupported_media_type", {"request_headers": ((b"content-type", b"image/png"),)}),
    "page": ("unsupported_media_type", {"response_headers": ((b"content-type", b"text/html; charset=utf-8"),)}),
}


@pytest.mark.parametrize("name", REASONS)
def test_reasons(exchange: Make, name: str) -> None:
    reason, changes = REASONS[name]
    decoded = run(exchange({"a": 1}, GOOD), exchange({"a": 1}, GOOD, **{"prediction_id": "bad", **changes}))
    assert decoded.dropped == {reason: 1}
    assert decoded.batches[0].prediction_ids == ["0191"]


HOSTILE = [
    b"{", b"", b"\xff\xfe", b'{"a": NaN}', b'{"a": Infinity}', b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}",
    b"[" * 5000 + b"]" * 5000, b'{"a": ' * 3000 + b"1" + b"}" * 3000, b'"\\ud800"', b'{"\\udc00": 1}', b"\x00",
    b'{"a": 01}', b"{'a': 1}", b'{"a": 1}x', b"nul", b'{"a": "\x01"}', b"\xed\xa0\x80", b'{"a":1,}',
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_on_either_side(exchange: Make, body: bytes) -> None:
    assert run(exchange(body, GOOD)).dropped == {"not_json": 1}
    assert run(exchange({"a": 1}, body)).dropped == {"not_json": 1}


def test_the_fault_is_placed_and_the_payload_is_not_told() -> None:
    with pytest.raises(DecodeError) as caught:
        JsonDecoder().parse('{"é": secret}'.encode())
    assert caught.value.at_byte == 7
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("request_body", [5, [], "x", [1, {}]])
def test_shapes_that_are_no_rows(exchange: Make, request_body: object) -> None:
    assert run(exchange(request_body, GOOD)).dropped == {"wrong_shape": 1}


def test_rows_and_predictions_must_match(exchange: Make) -> None:
    assert run(exchange([{"a": 1}] * 3, [GOOD] * 2)).dropped == {"row_mismatch": 1}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"GZIP", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
        (b"deflate", zlib.compress),
        (b"deflate", lambda body: zlib.compress(body)[2:-4]),
        (b"identity", bytes),
    ],
    ids=["gzip", "members", "zlib", "raw", "identity"],
)
def test_compressed_bodies(exchange: Make, encoding: bytes, pack: Callable[[bytes], bytes]) -> None:
    body = pack(orjson.dumps({"a": 1, "b": "text"}))
    halves = (body[:5], body[5:])
    one = exchange({}, GOOD, request_body=halves, request_bytes=len(body))
    one = one._replace(request_headers=((b"content-encoding", encoding),))
    assert run(one).batches[0].features == {"a": [1], "b": ["text"]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b" " * (MAX_INFLATED_BYTES + 1)), "body_too_large"),
        (gzip.compress(b"{}")[:-9], "unsupported_encoding"),
        (gzip.compress(b"") * 10_000, "unsupported_encoding"),
    ],
    ids=["bomb", "cut", "members"],
)
def test_compressed_bombs(exchange: Make, body: bytes, reason: str) -> None:
    one = exchange(body, GOOD, request_headers=((b"content-encoding", b"gzip"),))
    assert run(one).dropped == {reason: 1}


def test_a_bomb_is_never_unpacked(exchange: Make) -> None:
    bomb = gzip.compress(bytes(64 << 20), compresslevel=1)
    one = exchange(bomb, GOOD, request_headers=((b"content-encoding", b"gzip"),))
    tracemalloc.start()
    try:
        assert run(one).dropped == {"body_too_large": 1}
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_INFLATED_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("media_type", [b"application/vnd.x+json", b"APPLICATION/JSON;charset=UTF-8", b"text/json"])
def test_json_by_another_name(exchange: Make, media_type: bytes) -> None:
    assert run(exchange({"a": 1}, GOOD, request_headers=((b"content-type", media_type),))).exchanges == 1
    assert run(exchange({"a": 1}, GOOD, request_headers=())).exchanges == 1
    assert run(exchange(b'\xef\xbb\xbf{"a": 1}', GOOD)).exchanges == 1


def said(features: Any = None, prediction: Any = None, confidence: Any = None, segment: Any = None) -> Annotation:
    return Annotation(features, prediction, confidence, segment)


class TestAnnotations:
    def test_extend_and_replace(self, exchange: Make) -> None:
        notes = (said({"b": 2, "c": 1}), said({"b": 3, "n": {"z": np.float32(0.5)}}, "yes", np.float32(0.75), "eu"))
        batch = run(exchange({"a": 1, "c": 9}, GOOD, annotations=notes)).batches[0]
        assert batch.features == {"a": [1], "c": [1], "b": [3], "n.z": [0.5]}
        assert (batch.predicted, batch.confidence.tolist(), batch.segments) == (["yes"], [0.75], ["eu"])

    def test_make_unreadable_bodies_unnecessary(self, exchange: Make) -> None:
        picture, page = ((b"content-type", b"image/png"),), ((b"content-type", b"text/html"),)
        one = exchange(b"\x89PNG", b"<p>", request_headers=picture, response_headers=page)
        assert run(one).dropped == {"unsupported_media_type": 1}
        batch = run(one._replace(annotations=(said({"width": 5}, 0.9),))).batches[0]
        assert (batch.features, batch.score.tolist(), batch.predicted) == ({"width": [5]}, [0.9], ["1"])

    def test_do_not_stand_for_the_features_of_a_json_body_that_was_not_kept(self, exchange: Make) -> None:
        one = exchange({}, GOOD, request_body=(), request_bytes=90_000, annotations=(said({"b": 1}),))
        assert run(one).dropped == {"body_too_large": 1}

    def test_one_a_row(self, exchange: Make) -> None:
        notes = (said({"b": 1}, segment="x"), said({"b": 2}, prediction="no"))
        batch = run(exchange([{"a": 1}, {"a": 2}], [GOOD, GOOD], annotations=notes)).batches[0]
        assert (batch.features["b"], batch.segments, batch.predicted) == ([1, 2], ["x", None], ["1", "no"])

    def test_one_for_all_rows(self, exchange: Make) -> None:
        notes = (said({"b": 1}, prediction=np.array([0.9, 0.2])),)
        batch = run(exchange([{"a": 1}, {"a": 2}], [], annotations=notes)).batches[0]
        assert (batch.features["b"], batch.score.tolist()) == ([1, 1], [0.9, 0.2])
        notes = (said(prediction=[1, 2, 3]),)
        assert run(exchange([{"a": 1}, {"a": 2}], [], annotations=notes)).dropped == {"row_mismatch": 1}

    def test_strange_values_never_raise(self, exchange: Make) -> None:
        strange = {"huge": 10**400, "object": object(), "bytes": b"x", "lone": "\ud800", "nan": float("nan"), 5: 6}
        decoded = run(exchange({}, GOOD, annotations=(said(strange, confidence=10**400),)))
        assert decoded.batches[0].features["huge"] == [float("inf")]
        assert decoded.batches[0].features["5"] == [6]
        assert decoded.skipped == {"unreadable_value": 2}


def test_values_left_out_are_told_only_of_rows_that_count(exchange: Make) -> None:
    body = {"a": 1, "embedding": [0.5] * 100}
    assert run(exchange(body, GOOD), exchange(body, {}, prediction_id="bad")).skipped == {"long_array": 1}


def test_wide_batches_split_and_lose_nothing(exchange: Make) -> None:
    wide = [exchange({f"{i}.{c}": c for c in range(3000)}, GOOD, prediction_id=str(i)) for i in range(3)]
    batches = run(*wide).batches
    assert [len(batch.features) for batch in batches] == [3000, 3000, 3000]


def test_an_own_fault_is_counted(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(f"{decode.__module__}.{decode_exchange.__name__}", broken)
    assert decode([exchange({}, GOOD)], OPTIONS, unix_at).dropped == {"internal_error": 1}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.binary(max_size=40) | JSON_VALUES.map(lambda value: orjson.dumps(value))


@given(
    cases=st.lists(
        st.tuples(BODIES, BODIES, st.sampled_from([200, 201, 404, 500, 0]), st.sampled_from(End)), max_size=8
    )
)
def test_every_exchange_is_accounted_for(exchange: Make, cases: list[tuple[bytes, bytes, int, End]]) -> None:
    made = [
        exchange(request, response, status=status, end=end, prediction_id=f"p{at}")
        for at, (request, response, status, end) in enumerate(cases)
    ]
    assert "internal_error" not in run(*made).dropped
