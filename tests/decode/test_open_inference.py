"""V2: what is encoded comes back, and what breaks its own description is refused without being believed."""

import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.columns import MAX_ARRAY
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.selectors import Selector
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import MAX_POSITIONAL
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import Decoded, Exchange

Make = Callable[..., Exchange]
V2 = DECODERS["open_inference"]
OPTIONS = DecodeOptions("m")
PATH = "/v2/models/scorer/versions/3/infer"
DTYPES = {
    "BOOL": "?", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "<u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def tensor(name: str, datatype: str, shape: Any, data: Any = None, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, "parameters": parameters}


def binary(document: Any, *raw: bytes) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
    head = orjson.dumps(document)
    length = (b"inference-header-content-length", str(len(head)).encode())
    return head + b"".join(raw), ((b"content-type", b"application/octet-stream"), length)


def of_binary(name: str, datatype: str, shape: Any, raw: bytes) -> dict[str, Any]:
    return tensor(name, datatype, shape, binary_data_size=len(raw))


@pytest.fixture(name="make", scope="session")
def _make(exchange: Make) -> Make:
    def one(request: Any, response: Any = None, headers: Any = None, **changes: Any) -> Exchange:
        given = {"path": PATH} | ({"request_headers": headers} if headers else {})
        return exchange(request, response, **{**given, **changes})

    return one


@pytest.fixture(name="rows", scope="session")
def _rows(make: Make) -> Callable[..., RequestRows]:
    def read(inputs: Any, options: DecodeOptions = OPTIONS, *raw: bytes) -> RequestRows:
        body, headers = binary({"inputs": inputs}, *raw) if raw else (orjson.dumps({"inputs": inputs}), None)
        side = Side.of(make(body, headers=headers), Direction.REQUEST)
        assert V2.claims(side, Direction.REQUEST)
        found: RequestRows = V2.request(side, options)
        return found

    return read


@pytest.fixture(name="answers", scope="session")
def _answers(make: Make) -> Callable[..., Answers]:
    def read(outputs: Any, rows: int, options: DecodeOptions = OPTIONS, **members: Any) -> Answers:
        side = Side.of(make({}, {"outputs": outputs, **members}), Direction.RESPONSE)
        found: Answers = V2.response(side, options, rows)
        return found

    return read


def cells(rows: RequestRows) -> dict[str, list[Any]]:
    return {name: np.asarray(column, dtype=object).tolist() for name, column in rows.columns.items()}


Rows = Callable[..., RequestRows]


class TestRoundTrip:
    @given(st.data(), st.sampled_from(sorted(DTYPES)), st.integers(1, 6), st.integers(1, 7))
    def test_binary(self, rows: Rows, data: st.DataObject, datatype: str, count: int, width: int) -> None:
        array = data.draw(hnp.arrays(np.dtype(DTYPES[datatype]), (count, width)))
        found = rows([of_binary("t", datatype, [count, width], array.tobytes())], OPTIONS, array.tobytes())
        want = [[None if cell != cell else cell for cell in column] for column in array.T.tolist()]
        assert list(cells(found).values()) == want
        assert [list(map(type, column)) for column in cells(found).values()] == [list(map(type, c)) for c in want]

    @given(st.data(), st.sampled_from(sorted(set(DTYPES) - {"FP16"})), st.integers(1, 6), st.integers(2, 7))
    def test_json(self, rows: Rows, data: st.DataObject, datatype: str, count: int, width: int) -> None:
        elements = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else {}
        array = data.draw(hnp.arrays(np.dtype(DTYPES[datatype]), (count, width), elements=elements))
        nested = data.draw(st.booleans())
        given_data = array.tolist() if nested else array.ravel().tolist()
        found = rows([tensor("t", datatype, [count, width], given_data)])
        assert list(cells(found).values()) == array.T.tolist()

    @given(st.lists(st.text(), min_size=1, max_size=8))
    def test_texts(self, rows: Rows, texts: list[str]) -> None:
        raw = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)
        as_bytes = rows([of_binary("t", "BYTES", [len(texts)], raw)], OPTIONS, raw)
        as_json = rows([tensor("t", "BYTES", [len(texts)], texts)])
        assert cells(as_bytes) == cells(as_json) == {"t": texts}

    def test_bfloat16_is_the_upper_half_of_a_float(self, rows: Rows) -> None:
        raw = b"".join(struct.pack("<f", value)[2:] for value in (1.5, -0.25, 96.0))
        assert cells(rows([of_binary("t", "BF16", [3], raw)], OPTIONS, raw)) == {"t": [1.5, -0.25, 96.0]}

    def test_several_tensors_follow_each_other(self, rows: Rows) -> None:
        one, two = np.array([1, 2], "<i2").tobytes(), np.array([0.5, 1.5], "<f8").tobytes()
        inputs = [
            of_binary("a", "INT16", [2], one),
            tensor("b", "INT8", [2], [7, 8]),
            of_binary("c", "FP64", [2, 1], two),
        ]
        assert cells(rows(inputs, OPTIONS, one, two)) == {"a": [1, 2], "b": [7, 8], "c": [0.5, 1.5]}


class TestShapes:
    def test_a_matrix_is_positional(self, rows: Rows) -> None:
        found = rows([tensor("x", "INT64", [2, 3], [1, 2, 3, 4, 5, 6])])
        assert found.positional
        assert cells(found) == {"feature_0": [1, 4], "feature_1": [2, 5], "feature_2": [3, 6]}
        named = rows([tensor("x", "INT64", [1, 2], [1, 2])], DecodeOptions("m", feature_names=("a", "b")))
        assert cells(named) == {"a": [1], "b": [2]}

    def test_a_short_vector_beside_others_has_a_column_for_each(self, rows: Rows) -> None:
        found = rows([tensor("a", "FP32", [2], [1, 2]), tensor("b", "INT32", [2, 1, 2], [1, 2, 3, 4])])
        assert cells(found) == {"a": [1.0, 2.0], "b.0": [1, 3], "b.1": [2, 4]}

    def test_one_row_stands_in_all(self, rows: Rows) -> None:
        found = rows([tensor("a", "FP32", [2], [1, 2]), tensor("mode", "BYTES", [1], ["fast"])])
        assert cells(found) == {"a": [1.0, 2.0], "mode": ["fast", "fast"]}

    @pytest.mark.parametrize("shape", [[2, MAX_POSITIONAL + 1], [2, 3, 10, 10]])
    def test_an_image_is_one_vector(self, rows: Rows, shape: list[int]) -> None:
        array = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
        found = rows([tensor("image", "FP32", shape, array.tolist())])
        assert not found.columns
        assert found.records == [{"image": row.ravel().tolist()} for row in array]

    def test_wider_than_features_beside_others(self, rows: Rows) -> None:
        wide = list(range(MAX_ARRAY + 1))
        found = rows([tensor("a", "INT8", [1], [5]), tensor("b", "INT8", [1, len(wide)], wide)])
        assert found.records == [{"a": 5, "b": wide}]

    def test_content_is_its_size(self, rows: Rows) -> None:
        raw = b"".join(struct.pack("<I", len(part)) + part for part in (b"\x89PNG\xff", b"\xff\xd8"))
        assert cells(rows([of_binary("image", "BYTES", [2], raw)], OPTIONS, raw)) == {"image.bytes": [5, 2]}
        matrix = rows([of_binary("image", "BYTES", [1, 2], raw)], OPTIONS, raw)
        assert cells(matrix) == {"image.bytes.0": [5], "image.bytes.1": [2]}
        encoded = tensor("image", "BYTES", [1], ["iVBOR/8="], content_type="base64")
        assert cells(rows([encoded])) == {"image.bytes": [5]}

    def test_a_wrong_cell_costs_its_row(self, rows: Rows) -> None:
        found = rows([tensor("x", "FP32", [3, 2], [1, 2, "three", 4, None, 6])])
        assert (set(found.bad), cells(found)["feature_0"]) == ({1}, [1.0, None, None])


TIGHT = [1.0, 2.0]
BROKEN = {
    "shape and data": ([tensor("x", "FP32", [3], TIGHT)], "wrong_shape"),
    "no rows": ([tensor("x", "FP32", [0, 2], [])], "wrong_shape"),
    "huge": ([tensor("x", "FP32", [10**12, 10**12], TIGHT)], "wrong_shape"),
    "negative": ([tensor("x", "FP32", [-1, -2], TIGHT)], "malformed"),
    "boolean size": ([tensor("x", "FP32", [True, 2], TIGHT)], "malformed"),
    "fractional size": ([tensor("x", "FP32", [2.0], TIGHT)], "malformed"),
    "no shape": ([tensor("x", "FP32", None, TIGHT)], "malformed"),
    "too many dimensions": ([tensor("x", "FP32", [1] * 33, [1])], "malformed"),
    "datatype": ([tensor("x", "FLOAT", [2], TIGHT)], "malformed"),
    "no data": ([tensor("x", "FP32", [2])], "wrong_shape"),
    "rows differ": ([tensor("x", "FP32", [2], TIGHT), tensor("y", "FP32", [3], [1, 2, 3])], "wrong_shape"),
    "no tensor": ([], "wrong_shape"),
    "not an object": ([tensor("x", "FP32", [2], TIGHT), 5], "wrong_shape"),
    "cut off": ([tensor("x", "FP32", [2], binary_data_size=8)], "malformed"),
    "size below zero": ([tensor("x", "FP32", [2], binary_data_size=-8)], "malformed"),
    "huge size": ([tensor("x", "FP32", [2], binary_data_size=10**15)], "malformed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_descriptions(make: Make, case: str) -> None:
    inputs, reason = BROKEN[case]
    with pytest.raises(DecodeError) as caught:
        V2.request(Side.of(make({"inputs": inputs}), Direction.REQUEST), OPTIONS)
    assert caught.value.code == reason


def test_too_many_rows(rows: Rows) -> None:
    with pytest.raises(DecodeError, match="body_too_large"):
        rows([tensor("x", "FP32", [3], [1, 2, 3])], DecodeOptions("m", max_rows=2))


DECLARED = {
    "by shape": [tensor(f"t{at}", "FP32", [10**9, 10**3], [1.0]) for at in range(100)],
    "by standing in every row": [
        tensor("x", "INT8", [10_000], [1] * 10_000),
        *[tensor(f"t{at}", "INT8", [1, 60], [1] * 60) for at in range(60)],
    ],
}


@pytest.mark.parametrize("case", DECLARED)
def test_nothing_is_allocated_by_a_declared_size(make: Make, case: str) -> None:
    side = Side.of(make({"inputs": DECLARED[case]}), Direction.REQUEST)
    side.json()
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="wrong_shape"):
            V2.request(side, OPTIONS)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


XYZ = b"\1\0\0\0x\2\0\0\0yz"
SOUND, HEADERS = binary(
    {"id": "1", "inputs": [of_binary("a", "FP32", [2], bytes(8)), of_binary("b", "BYTES", [2], XYZ)]}, bytes(8), XYZ
)


@given(st.data())
def test_mutated_bytes_never_raise_anything_else(make: Make, data: st.DataObject) -> None:
    body = bytearray(SOUND)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        if not body:
            return
    length = data.draw(
        st.sampled_from([dict(HEADERS)[b"inference-header-content-length"], b"0", b"-1", b"99999999", b"5"])
    )
    one = make(bytes(body), headers=((b"inference-header-content-length", length),))
    side = Side.of(one, Direction.REQUEST)
    try:
        found: RequestRows = V2.request(side, OPTIONS)
    except DecodeError:
        return
    assert all(len(column) == found.count for column in found.columns.values())


def test_the_length_of_the_json_part_is_among_the_captured_headers() -> None:
    assert HEADERS[1][0] in OPTIONS.headers


def test_the_callers_id_is_the_requests(make: Make) -> None:
    one = make(
        {"id": "req-1", "inputs": [tensor("x", "FP32", [1], [1])]}, {"outputs": [tensor("y", "FP32", [1], [0.5])]}
    )
    assert decode([one], OPTIONS, lambda at: at).batches[0].aliases == ["req-1"]


class TestAnswers:
    def test_names_say_what_is_what(self, answers: Callable[..., Answers]) -> None:
        outputs = [
            tensor("output_label", "INT64", [2], [1, 0]),
            tensor("output_probability", "FP32", [2, 2], [0.25, 0.75, 0.875, 0.125]),
        ]
        found = answers(outputs, 2, id="x", model_name="m", model_version="4").outputs
        assert found is not None
        assert (list(found.predicted), list(found.score)) == (["1", "0"], [0.75, 0.125])

    def test_types_say_it_where_names_do_not(self, answers: Callable[..., Answers]) -> None:
        found = answers([tensor("y", "FP32", [1, 1], [0.25]), tensor("z", "BYTES", [1, 1], ["legit"])], 1).outputs
        assert found is not None
        assert (list(found.predicted), list(found.score)) == (["legit"], [0.25])

    def test_names_of_the_model(self, answers: Callable[..., Answers]) -> None:
        found = answers([tensor("y", "FP32", [1], [0.25])], 1, id=7, model_name="m", model_version="4")
        assert (found.aliases, found.model, found.version) == ("7", "m", "4")

    def test_rows_that_do_not_match(self, answers: Callable[..., Answers]) -> None:
        with pytest.raises(DecodeError, match="row_mismatch"):
            answers([tensor("y", "FP32", [3], [0.1, 0.2, 0.3])], 2)

    def test_a_vector_for_one_row(self, answers: Callable[..., Answers]) -> None:
        found = answers([tensor("y", "FP32", [3], [0.25, 0.5, 0.25])], 1).outputs
        assert found is not None
        assert (list(found.predicted), list(found.confidence)) == (["1"], [0.5])

    def test_selectors_walk_the_json(self, make: Make) -> None:
        options = DecodeOptions("m", score=Selector.compile("response.outputs[0].data"))
        body, headers = binary({"inputs": [of_binary("a", "FP32", [2], b"\0" * 8)]}, b"\0" * 8)
        one = make(body, {"outputs": [tensor("y", "FP32", [2], [0.25, 0.5])]}, headers)
        result: Decoded = decode([one], options, lambda at: at)
        assert result.batches[0].score.tolist() == [0.25, 0.5]
        assert result.batches[0].version == "3"
