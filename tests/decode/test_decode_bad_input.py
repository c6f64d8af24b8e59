"""Whatever bytes come, on either side and under any content type: counted, in bounded time and memory."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import orjson
import pytest
from decode_run import GOOD, Make, run
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.decode.body import MAX_INFLATED_BYTES
from mlmon_sidecar.decode.json_text import MAX_PATIENT_BYTES, parse_json
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


TEXT = '{"city": "Zürich", "n": 1}'


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("", TEXT.encode()), ("utf-8", TEXT.encode("utf-8-sig")), ("UTF8", TEXT.encode()), ("", TEXT.encode("utf-16")),
        ("utf-16", TEXT.encode("utf-16")), ("", TEXT.encode("utf-16-le")), ("", TEXT.encode("utf-32-be")),
        ("utf-16-be", TEXT.encode("utf-16-be")), ("latin-1", TEXT.encode("latin-1")),
        ("windows-1252", TEXT.encode("cp1252")),
    ],
    ids=range(10),
)  # fmt: skip
def test_charsets(exchange: Make, charset: str, body: bytes) -> None:
    declared = f"application/json; charset={charset}" if charset else "application/json"
    one = exchange(body, GOOD, request_headers=((b"content-type", declared.encode()),))
    assert run(one).batches[0].features == {"city": ["Zürich"], "n": [1]}


@pytest.mark.parametrize(
    ("charset", "body"),
    [
        ("", TEXT.encode("latin-1")), ("utf-16", TEXT.encode()[:-1]), ("ascii", b"\xff"), ("rot13", b"{}"),
        ("idna", b"{}"), ("unicode_escape", b"{}"), ("no-such", b"{}"), ("a\x00b", b"{}"), ("x" * 300, b"{}"),
    ],
    ids=range(9),
)  # fmt: skip
def test_charsets_that_are_none(exchange: Make, charset: str, body: bytes) -> None:
    """Latin-1 that nobody declared is not guessed: any bytes would be that."""
    declared = f"application/json; charset={charset}".encode()
    one = exchange(body, GOOD, request_headers=((b"content-type", declared),))
    assert run(one).dropped == {"not_json": 1}


def test_lone_surrogates_and_repeated_names_are_read(exchange: Make) -> None:
    batch = run(exchange(b'{"a": "\\ud800", "b": 1, "b": 2}', GOOD)).batches[0]
    assert batch.features == {"a": ["\ud800"], "b": [2]}


def test_patience_has_an_end(exchange: Make) -> None:
    body = b"[" + b"NaN," * (MAX_PATIENT_BYTES // 4) + b"NaN]"
    assert run(exchange(body, GOOD)).dropped == {"not_json": 1}


@pytest.mark.parametrize("body", [b"[" * 10_000_000, b'{"a":' * 2_000_000, b"[]" * 5_000_000], ids=["[", "{", "[]"])
def test_ten_megabytes_of_brackets(body: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            parse_json(body)
        assert tracemalloc.get_traced_memory()[1] < 14 * len(body)  # orjson makes room for 12 times the body at once
    finally:
        tracemalloc.stop()


def rows_without_a_common_member(count: int) -> bytes:
    return orjson.dumps([{f"{letter}{at}": at for letter in "abcdefg"} for at in range(count)])


def repeated(unit: bytes) -> Callable[[int], bytes]:
    return lambda count: b"[" + b",".join([unit] * count) + b"]"


GROWING: dict[str, Callable[[int], bytes]] = {
    "no common member": rows_without_a_common_member,
    "one wide row": lambda count: orjson.dumps([{f"k{at}": 1 for at in range(count)}] + [{"k1": 1}] * (count - 1)),
    "nested": lambda count: orjson.dumps([{"a": [{"b": [1, {f"k{at}": 2}]}]} for at in range(count)]),
    "ragged": lambda count: orjson.dumps([[1] * (at % 50) for at in range(count)]),
    "two schemas": lambda count: orjson.dumps([{"a": 1, "b": 2} if at % 2 else {"c": 1} for at in range(count)]),
    "empty": repeated(b"{}"),
    "texts": repeated(b'{"a":"' + b"x" * 90 + b'"}'),
    "not numbers": repeated(b"[NaN,1e999]"),
}


@pytest.mark.parametrize("name", GROWING)
def test_cells_grow_with_the_body_and_not_with_its_square(exchange: Make, name: str) -> None:
    def cells(count: int) -> int:
        body = GROWING[name](count)
        batches = run(exchange(body, [0.5] * count)).batches
        assert len(body) < 1 << 20
        return sum(batch.rows * len(batch.features) for batch in batches)

    assert cells(5_000) <= 3 * cells(2_500) + 100_000
    assert cells(5_000) < 5_000_000


MEDIA_TYPES = st.sampled_from(
    [b"", b"application/json", b"text/csv", b"text/plain; charset=utf-16", b"application/x-www-form-urlencoded",
     b"multipart/form-data; boundary=x", b"multipart/form-data", b"application/octet-stream", b"text/event-stream",
     b"application/jsonlines", b"image/png", b"application/x-npy", b"application/vnd.apache.parquet", b"\xff;=;charset"]
)  # fmt: skip
PATHS = st.sampled_from(
    ["/", "/score", "/invocations", "/v2/models/m/infer", "/v1/models/m:predict", "/v1/chat/completions",
     "/v1/embeddings", "/generate", "/predict", "/v2/models/m/versions/3/infer"]
)  # fmt: skip
HEADERS = st.tuples(MEDIA_TYPES, st.sampled_from([b"", b"17", b"-1", b"99999999999999999999", b"x"])).map(
    lambda pair: tuple(
        (name, value)
        for name, value in ((b"content-type", pair[0]), (b"inference-header-content-length", pair[1]))
        if value
    )
)
WORDS = st.sampled_from(
    [b'{"inputs":[', b'{"instances":[', b'"shape":', b'"datatype":"FP32"', b'"data":', b"[", b"]", b"{", b"}", b",",
     b":", b"1", b"-", b'"a"', b"NaN", b"data: ", b"\n\n", b"--x\r\n", b"a=b&", b"\x93NUMPY", b"\xff", b"\\u", b"\r\n"]
)  # fmt: skip
ANY_BYTES = st.binary(max_size=60) | st.lists(WORDS, max_size=12).map(b"".join) | BODIES


@settings(max_examples=300)
@given(request=ANY_BYTES, response=ANY_BYTES, sides=st.tuples(HEADERS, HEADERS), path=PATHS)
def test_any_bytes_under_any_name(
    exchange: Make, request: bytes, response: bytes, sides: tuple[tuple[tuple[bytes, bytes], ...], ...], path: str
) -> None:
    one = exchange(request, response, request_headers=sides[0], response_headers=sides[1], path=path)
    assert "internal_error" not in run(one).dropped
