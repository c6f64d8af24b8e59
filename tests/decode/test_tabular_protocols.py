"""KServe V1, TensorFlow Serving, MLflow, SageMaker, Vertex AI, BentoML, arrays and binary bodies: what the recorded
pairs do not show, and what is broken."""

import io
import time
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
from mlmon_sidecar.decode import exchange as decode_exchange
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Direction, Side
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import Decoded, Exchange

Make = Callable[..., Exchange]
Decode = Callable[..., Decoded]
OPTIONS = DecodeOptions("m")
V1, INVOCATIONS, ENDPOINT = "/v1/models/m:predict", "/invocations", "/v1/projects/p/locations/l/endpoints/4:predict"
TWO = {"predictions": [0.25, 0.5]}
ROW = {"predictions": [0.25]}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_exchange, "DETECTION", Detection(DECODERS))


@pytest.fixture(name="run")
def _run(exchange: Make) -> Decode:
    def one(path: str, request: Any, response: Any = TWO, options: DecodeOptions = OPTIONS, **changes: Any) -> Decoded:
        return decode([exchange(request, response, path=path, **changes)], options, lambda at: at)

    return one


def columns(decoded: Decoded) -> dict[str, list[Any]]:
    assert decoded.dropped == {}
    (batch,) = decoded.batches
    return {name: np.asarray(column, dtype=object).tolist() for name, column in batch.features.items()}


def typed(content_type: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-type", content_type.encode()),)


class TestV1:
    def test_scalars_are_a_row_each(self, run: Decode) -> None:
        assert columns(run(V1, {"instances": [1.5, 2.5]})) == {"feature_0": [1.5, 2.5]}

    def test_one_tensor_in_column_form(self, run: Decode) -> None:
        assert columns(run(V1, {"inputs": [[1, 2], [3, 4]]}, {"outputs": [0.5, 0.25]})) == {
            "feature_0": [1, 3],
            "feature_1": [2, 4],
        }

    def test_a_scalar_column_stands_in_every_row(self, run: Decode) -> None:
        found = run(V1, {"inputs": {"a": [1, 2], "mode": "fast"}}, {"outputs": [0.5, 0.25]})
        assert columns(found) == {"a": [1, 2], "mode": ["fast", "fast"]}

    def test_rows_of_another_kind_or_width_are_bad(self, run: Decode) -> None:
        three = {"predictions": [0.25, 0.5, 0.75]}
        for instances in ([[1, 2], [3], [5, 6]], [[1, 2], {"a": 1}, [5, 6]], [[1, 2], 7, [5, 6]]):
            found = run(V1, {"instances": instances}, three)
            assert columns(found) == {"feature_0": [1, 5], "feature_1": [2, 6]}
            assert found.batches[0].score.tolist() == [0.25, 0.75]
            assert found.skipped == {"bad_row": 1}

    def test_an_image_is_one_vector(self, run: Decode) -> None:
        image = [[float(at + 20 * line) for at in range(20)] for line in range(20)]
        found = run(V1, {"instances": [image, image]})
        assert found.dropped == {}
        assert all(name.startswith("features") for name in found.batches[0].features)
        assert len(found.batches[0].features) < 20

    @pytest.mark.parametrize("instance", [{"b64": "aGVsbG8="}, {"image": {"b64": "aGVsbG8="}}, [{"b64": "aGVsbG8="}]])
    def test_binary_content_is_its_size(self, run: Decode, instance: Any) -> None:
        found = columns(run(V1, {"instances": [instance, instance]}))
        assert list(found.values()) == [[5, 5]]

    @pytest.mark.parametrize(
        "body",
        [
            {"instances": []},
            {"instances": {}},
            {"instances": None},
            {"inputs": {}},
            {"inputs": {"a": [1, 2], "b": [1, 2, 3]}},
            {"inputs": []},
            {"examples": 5},
        ],
    )
    def test_broken(self, run: Decode, body: Any) -> None:
        assert run(V1, body).dropped == {"wrong_shape": 1}

    def test_what_stands_in_every_row_must_not_fill_the_memory(self, run: Decode) -> None:
        shared = {f"c{at}": 1 for at in range(4_000)}
        assert run(V1, {"inputs": {"a": [1] * 9_000, **shared}}).dropped == {"wrong_shape": 1}
        assert run(V1, {"examples": [{}] * 9_000, "context": shared}).dropped == {"wrong_shape": 1}

    def test_several_outputs_a_row(self, run: Decode) -> None:
        answer = {"predictions": [{"class_name": "fraud", "probabilities": [0.25, 0.75]}]}
        assert run(V1, {"instances": [[1]]}, answer).batches[0].score.tolist() == [0.75]


class TestMLflow:
    def test_column_names(self, run: Decode) -> None:
        def names(given: list[Any]) -> list[str]:
            return list(columns(run(INVOCATIONS, {"dataframe_split": {"columns": given, "data": [[1, 2], [3, 4]]}})))

        assert names(["a", 7]) == ["a", "7"]
        assert names(["a", "a"]) == ["a", "a.1"]
        assert names([0, 1]) == ["feature_0", "feature_1"]
        assert names([["x", "mean"], ["x", "std"]]) == ["x.mean", "x.std"]

    def test_ragged_rows_are_bad(self, run: Decode) -> None:
        body = {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3], [5, 6]]}}
        found = run(INVOCATIONS, body, {"predictions": [0.25, 0.5, 0.75]})
        assert (columns(found), found.batches[0].score.tolist()) == ({"a": [1, 5], "b": [2, 6]}, [0.25, 0.75])

    def test_nested_cells_are_taken_apart(self, run: Decode) -> None:
        body = {"dataframe_split": {"columns": ["a", "b"], "data": [[[1, 2], {"c": 3}], [[4, 5], {"c": 6}]]}}
        assert columns(run(INVOCATIONS, body)) == {"a.0": [1, 4], "a.1": [2, 5], "b.c": [3, 6]}

    @pytest.mark.parametrize(
        "table",
        [5, {}, {"data": 5}, {"data": []}, {"columns": ["a"], "data": [[1, 2]]}, {"columns": ["a"], "data": [5, 6]}],
    )
    def test_broken(self, run: Decode, table: Any) -> None:
        assert run(INVOCATIONS, {"dataframe_split": table}).dropped == {"wrong_shape": 1}

    def test_an_answer_with_columns(self, run: Decode) -> None:
        answer = {"predictions": {"label": ["a", "b"], "score": [0.25, 0.5]}}
        batch = run(INVOCATIONS, {"inputs": [[1], [2]]}, answer).batches[0]
        assert (batch.predicted, batch.score.tolist()) == (["a", "b"], [0.25, 0.5])

    @pytest.mark.parametrize("answer", [{"predictions": [0.25]}, {"predictions": [1, 2, 3]}, {"predictions": {"a": 1}}])
    def test_answers_of_another_number(self, run: Decode, answer: Any) -> None:
        assert run(INVOCATIONS, {"inputs": [[1], [2]]}, answer).dropped == {"row_mismatch": 1}


class TestOthers:
    def test_sagemaker_bare_values(self, run: Decode) -> None:
        body = {"instances": [{"features": [1, 2]}, {"data": {"features": {"values": [3, 4]}}}]}
        found = run(INVOCATIONS, body, [0.25, 0.5])
        assert columns(found) == {"feature_0": [1, 3], "feature_1": [2, 4]}
        assert found.batches[0].score.tolist() == [0.25, 0.5]

    def test_vertex(self, run: Decode) -> None:
        found = run(ENDPOINT, {"instances": [{"b64": "aGk="}], "parameters": {"x": 1}}, {**ROW, "modelVersionId": "9"})
        assert (columns(found), found.batches[0].version) == ({"bytes": [2]}, "9")
        assert run(ENDPOINT, {"instances": 5}).dropped == {"wrong_shape": 1}

    @pytest.mark.parametrize(
        ("body", "want"),
        [
            ({"rows": [{"a": 1}, {"a": 2}]}, {"a": [1, 2]}),
            ({"frame": {"a": [1, 2], "b": ["x", "y"]}}, {"a": [1, 2], "b": ["x", "y"]}),
        ],
    )
    def test_bentoml_batches(self, run: Decode, body: Any, want: Any) -> None:
        assert columns(run("/predict", body, [0.25, 0.5])) == want

    @pytest.mark.parametrize(
        "body", [{"text": "a"}, {"a": [1, 2]}, {"a": {"b": 1}}, {"a": {"b": [1], "c": 2}}, {"a": []}]
    )
    def test_what_is_no_batch_is_one_row(self, exchange: Make, body: Any) -> None:
        side = Side.of(exchange(body, {}), Direction.REQUEST)
        assert DECODERS["bentoml"].claims(side, Direction.REQUEST) == ""

    @pytest.mark.parametrize(
        "content_type", ["image/png", "audio/wav", "application/octet-stream", "application/x-protobuf"]
    )
    def test_binary_is_size_and_type(self, run: Decode, content_type: str) -> None:
        found = run("/classify", b"\x89PNG secret", {"label": "cat"}, request_headers=typed(content_type))
        assert columns(found) == {"body.bytes": [11], "body.media_type": [content_type]}
        assert "secret" not in repr(found)

    @pytest.mark.parametrize("content_type", ["application/octet-stream", "multipart/form-data; boundary=x"])
    def test_a_file_too_large_to_be_kept_is_its_size(self, exchange: Make, content_type: str) -> None:
        one = exchange(b"", {"score": 0.5}, request_headers=((b"content-type", content_type.encode()),))
        cut = one._replace(request_body=(), request_bytes=50_000_000)
        (batch,) = decode([cut], DecodeOptions("m"), lambda at: at).batches
        assert {name: list(column) for name, column in batch.features.items()} == {
            "body.bytes": [50_000_000], "body.media_type": [content_type.partition(";")[0]],
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("headers", "decoder"),
        [
            (((b"content-type", b"application/json"),), "auto"),
            (((b"content-type", b"text/csv"),), "auto"),
            (((b"content-type", b"application/octet-stream"), (b"inference-header-content-length", b"9")), "auto"),
            (((b"content-type", b"application/octet-stream"),), "open_inference"),
        ],
    )
    def test_rows_that_are_too_large_are_not_one_row(self, exchange: Make, headers: Any, decoder: str) -> None:
        cut = exchange(b"", {"score": 0.5}, request_headers=headers)._replace(request_body=(), request_bytes=50_000_000)
        assert decode([cut], DecodeOptions("m", decoder=decoder), lambda at: at).dropped == {"body_too_large": 1}

    def test_binary_answers_are_rows_without_a_prediction(self, run: Decode) -> None:
        batch = run("/draw", {"prompt_length": 5}, b"\x89PNG", response_headers=typed("image/png")).batches[0]
        assert (batch.predicted, batch.score.tolist() == batch.score.tolist()) == ([None], False)

    @pytest.mark.parametrize("content_type", ["text/html", "text/plain", "application/problem+json"])
    def test_pages_are_no_prediction(self, run: Decode, content_type: str) -> None:
        assert run("/score", {"a": 1}, b"<p>", response_headers=typed(content_type)).batches == []

    @pytest.mark.parametrize("name", sorted(DECODERS))
    def test_a_forced_decoder_reads_or_refuses(self, run: Decode, name: str) -> None:
        options = DecodeOptions("m", decoder=name)
        for body in ({"a": 1}, [1], "text", None, {"instances": 5, "inputs": 5}, b"\xff\x00", [[[]]], {}):
            decoded = run("/any", body, body, options)
            assert "internal_error" not in decoded.dropped


class TestArrays:
    @given(hnp.arrays(st.sampled_from(["?", "<i2", ">i4", "<u8", "<f4", ">f8", "<U3", "|S3"]), (3, 2)), st.booleans())
    def test_round_trip(self, exchange: Make, array: Any, fortran: bool) -> None:
        file = io.BytesIO()
        np.save(file, np.asfortranarray(array) if fortran else array, allow_pickle=False)
        one = exchange(file.getvalue(), [0.25, 0.5, 0.75], request_headers=typed("application/x-npy"))
        want = [[None if cell != cell else cell for cell in column] for column in array.T.tolist()]
        if array.dtype.kind == "S":
            want = [[cell.decode("utf-8", "replace") for cell in column] for column in want]
        assert list(columns(decode([one], OPTIONS, lambda at: at)).values()) == want

    def test_answers(self, run: Decode) -> None:
        file = io.BytesIO()
        np.save(file, np.array([[0.25, 0.75], [0.875, 0.125]], np.float32))
        batch = run(
            "/score", {"instances": [[1], [2]]}, file.getvalue(), response_headers=typed("application/x-npy")
        ).batches[0]
        assert (batch.predicted, batch.confidence.tolist()) == (["1", "0"], [0.75, 0.875])

    def test_never_a_pickle_never_a_declared_size(self, run: Decode) -> None:
        pickled, huge = io.BytesIO(), io.BytesIO()
        np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)}
        np.lib.format.write_array_header_1_0(huge, header)
        objects = io.BytesIO()
        np.lib.format.write_array_header_1_0(objects, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        for body in (
            pickled.getvalue(),
            objects.getvalue() + bytes(8),
            huge.getvalue(),
            huge.getvalue() + bytes(80),
            b"\x93NUMPY",
            b"",
        ):
            tracemalloc.start()
            try:
                decoded = run("/score", body, request_headers=typed("application/x-npy"))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert set(decoded.dropped) <= {"malformed", "wrong_shape"}
            assert decoded.dropped
            assert peak < 4 << 20


MANY = {f"c{at}": 1 for at in range(60_000)}


def tensor(shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": "x", "shape": shape, "datatype": "FP32", "data": data}


MEGABYTE = {
    "csv numbers": ("text/csv", b"1,2,3,4,5,6,7,8,9,10\n" * 9_999),
    "csv commas": ("text/csv", b"," * 1_000_000),
    "csv wide lines": ("text/csv", (b"1," * 4000 + b"1\n") * 120),
    "json lines": ("application/jsonlines", b'{"a": 1, "b": [1, 2]}\n' * 9_999),
    "broken lines": ("application/jsonlines", b"{\n" * 9_999),
    "form": ("application/x-www-form-urlencoded", b"a=1&" * 250_000),
    "form of percents": ("application/x-www-form-urlencoded", b"a=" + b"%25" * 330_000),
    "multipart dashes": ("multipart/form-data; boundary=-", b"\r\n--" * 250_000),
    "multipart head": ("multipart/form-data; boundary=x", b"--x\r\n" + b"content-disposition: form-data; " * 30_000),
    "split": ("application/json", orjson.dumps({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]] * 9_999}})),
    "nan": ("application/json", b'{"instances": [' + b"[NaN, 1]," * 9_000 + b"[1, 2]]}"),
    "brackets": ("application/json", b'{"instances": ' + b"[" * 900 + b"1" + b"]" * 900 + b"}"),
    "b64 nesting": ("application/json", b'{"instances": [' + b'{"b64":' * 500 + b"1" + b"}" * 500 + b"]}"),
    "tensors": ("application/json", orjson.dumps({"inputs": [tensor([1, 1], [1])] * 4_000})),
    "tensor": ("application/json", orjson.dumps({"inputs": [tensor([4_000, 50], [1.5] * 200_000)]})),
    "spread": ("application/json", orjson.dumps({"inputs": {"a": [1] * 9_000, **MANY}, "signature_name": "x"})),
    "context": (
        "application/json",
        orjson.dumps({"examples": [{}] * 9_000, "context": MANY, "signature_name": "x"}),
    ),
}
SECONDS = 5.0  # of process time: several times what the slowest takes on a busy machine


@pytest.mark.parametrize("case", MEGABYTE)
def test_a_megabyte_of_anything_is_read_or_refused_quickly(run: Decode, case: str) -> None:
    content_type, body = MEGABYTE[case]
    began = time.process_time()
    decoded = run("/v1/models/m:predict", body, request_headers=typed(content_type))
    assert time.process_time() - began < SECONDS
    assert "internal_error" not in decoded.dropped


def test_the_reason_is_never_the_payload(exchange: Make) -> None:
    for content_type, body in MEGABYTE.values():
        side = Side.of(exchange(body[:2000], {}, request_headers=typed(content_type)), Direction.REQUEST)
        for decoder in DECODERS.values():
            try:
                decoder.request(side, OPTIONS)
            except DecodeError as error:
                assert len(str(error)) < 200
