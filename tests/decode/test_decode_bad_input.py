"""Whatever bytes come, on either side and under any content type: counted, in bounded time and memory."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import orjson
import pytest
from decode_run import GOOD, Make, run
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode.body import MAX_INFLATED_BYTES
from mlmon_sidecar.decode.json_text import parse_json
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import End

HOSTILE = [
    b"{", b"", b"\xff\xfe", b"[" * 5000 + b"]" * 5000, b'{"a": ' * 3000 + b"1" + b"}" * 3000, b"\x00",
    b'{"a": 01}', b"{'a': 1}", b'{"a": 1}x', b"nul", b'{"a": "\x01"}', b"\xed\xa0\x80", b'{"a":1,}',
]  # fmt: skip


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "-" + "9" * 400])
def test_numbers_beyond_json_cost_their_value_alone(exchange: Make, number: str) -> None:
    batch = run(exchange(f'{{"a": {number}, "b": 1}}'.encode(), GOOD)).batches[0]
    assert (batch.features["b"], np.isfinite(batch.features["a"]).tolist()) == ([1], [False])


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_bodies_on_either_side(exchange: Make, body: bytes) -> None:
    assert run(exchange(body, GOOD)).dropped == {"not_json": 1}
    assert run(exchange({"a": 1}, body)).dropped == {"not_json": 1}


def test_the_fault_is_placed_and_the_payload_is_not_told() -> None:
    with pytest.raises(DecodeError) as caught:
        parse_json('{"é": secret}'.encode())
    assert caught.value.at_byte == 7
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


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
