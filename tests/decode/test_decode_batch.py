"""The stage as a whole: golden columns, and an account of every exchange whatever it holds."""

from typing import Any

import numpy as np
import pytest
from decode_run import GOOD, JSON, OPTIONS, Make, run, unix_at

from mlmon_sidecar.decode import DECODERS, table
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.columns import blocks_of
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.exchange import decode_exchange
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side
from mlmon_sidecar.interfaces import DECODER_NAMES
from mlmon_sidecar.records import WEIGHT_UNIT, Annotation, End
from mlmon_sidecar.selectors import PROTOCOL_HEADERS, Selector
from mlmon_sidecar.statistics.layout import category_token


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
    ids = {b"x-amzn-sagemaker-inference-id", b"ce-id", b"x-request-id"}
    assert by_header.headers == {b"x-version"} | PROTOCOL_HEADERS | ids
    assert not DecodeOptions("m", id=Selector.compile("request.tx")).headers & ids
    assert run(one._replace(response_headers=((b"x-version", b"7"),)), options=by_header).batches[0].version == "7"


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
    "page": ("unsupported_media_type", {"response_headers": ((b"content-type", b"text/html; charset=utf-8"),)}),
}


@pytest.mark.parametrize("name", REASONS)
def test_reasons(exchange: Make, name: str) -> None:
    reason, changes = REASONS[name]
    decoded = run(exchange({"a": 1}, GOOD), exchange({"a": 1}, GOOD, **{"prediction_id": "bad", **changes}))
    assert decoded.dropped == {reason: 1}
    assert decoded.batches[0].prediction_ids == ["0191"]


@pytest.mark.parametrize("request_body", [5, [], "x", [1, {}]])
def test_shapes_that_are_no_rows(exchange: Make, request_body: object) -> None:
    assert run(exchange(request_body, GOOD)).dropped == {"wrong_shape": 1}


@pytest.mark.parametrize(
    ("bad", "good"),
    [(5, {"x": 1, "y": 2}), ([1], {"x": 1, "y": 2}), (None, {"x": 1, "y": 2}), ([1, 2, 3], [1, 2]), ([], [1, 2]),
     ({"x": 1}, [1, 2]), ("text", [1, 2])],
)  # fmt: skip
def test_a_bad_row_costs_itself_alone(exchange: Make, bad: object, good: object) -> None:
    options = DecodeOptions("m", feature_names=("x", "y"), id=Selector.compile("header.x-request-id"))
    one = exchange([good, bad, good, good], [0.1, 0.2, 0.3, 0.4], request_headers=(JSON, (b"x-request-id", b"r")))
    decoded = run(one, options=options)
    batch = decoded.batches[0]
    assert (batch.features["x"], batch.features["y"]) == ([1, 1, 1], [2, 2, 2])
    assert batch.prediction_ids == ["0191/0", "0191/2", "0191/3"]
    assert batch.aliases == ["r/0", "r/2", "r/3"]
    assert batch.score.tolist() == [0.1, 0.3, 0.4]
    assert batch.weight.tolist() == [round(WEIGHT_UNIT / 4)] * 3
    assert decoded.skipped == {"bad_row": 1}


def test_categories_keep_their_own_type(exchange: Make) -> None:
    """1, 1.0 and true are equal in Python, and three categories."""
    rows = [
        {"whole": 1, "mixed": 1, "flag": True, "long": 2**53 + 1},
        {"whole": 0, "mixed": 1.5, "flag": False, "long": 7},
    ]
    features = run(exchange(rows, [0.1, 0.2])).batches[0].features
    tokens = {name: [category_token(value) for value in column] for name, column in features.items()}
    assert tokens == {
        "whole": ["1", "0"], "mixed": ["1", "1.5"], "flag": ["true", "false"], "long": ["9007199254740993", "7"]
    }  # fmt: skip


def test_requests_of_one_schema_become_columns_together(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(
        table, "blocks_of", lambda records, skipped: calls.append(len(records)) or blocks_of(records, skipped)
    )
    many = [exchange({"a": at}, GOOD, prediction_id=str(at)) for at in range(40)]
    assert run(*many).batches[0].features == {"a": list(range(40))}
    assert calls == [40]


def test_arrays_and_lists_are_joined(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol of tensors beside one of rows, in one slice."""

    class Tensors:
        name = "tensors"

        def claims(self, side: Side, direction: Direction) -> str:
            return "path" if side.path == "/tensors" else ""

        def request(self, side: Side, options: DecodeOptions) -> RequestRows:
            columns = {"feature_0": np.array([0.5, 1.0]), "feature_1": np.array([1, 2])}
            return RequestRows(2, columns, positional=True, aliases="t", version="v2")

        def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
            return Answers(Outputs(np.array([0.25, 0.75]), [None, None], np.full(2, np.nan)))

    monkeypatch.setattr("mlmon_sidecar.decode.exchange.DETECTION", Detection({"tensors": Tensors(), **DECODERS}))
    options = DecodeOptions("m", feature_names=("x",))
    tensors = exchange({}, {}, path="/tensors", prediction_id="b")
    alone = run(tensors, options=options).batches[0]
    assert isinstance(alone.features["x"], np.ndarray)
    assert (alone.features["x"].tolist(), alone.features["feature_1"]) == ([0.5, 1.0], [1, 2])
    rows = exchange({"x": 3, "z": "q"}, {"prediction": "a"}, request_headers=(JSON, (b"x", b"")), prediction_id="a")
    both = run(rows._replace(path="/versions/v2/x"), tensors, options=options).batches[0]
    assert both.features == {"x": [3, 0.5, 1.0], "z": ["q", None, None], "feature_1": [None, 1, 2]}
    assert (both.version, both.aliases, both.predicted) == ("v2", [None, "t/0", "t/1"], ["a", None, None])
    assert np.array_equal(both.score, [np.nan, 0.25, 0.75], equal_nan=True)


def test_rows_and_predictions_must_match(exchange: Make) -> None:
    assert run(exchange([{"a": 1}] * 3, [GOOD] * 2)).dropped == {"row_mismatch": 1}


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
        assert batch.features == {"body.bytes": [4], "body.media_type": ["image/png"], "width": [5]}
        assert (batch.score.tolist(), batch.predicted) == ([0.9], ["1"])

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
    body = {"a": 1, "tokens": [5] * 100}
    assert run(exchange(body, GOOD), exchange(body, {}, prediction_id="bad")).skipped == {"long_array": 1}


def test_wide_batches_split_and_lose_nothing(exchange: Make) -> None:
    wide = [exchange({f"{i}.{c}": c for c in range(3000)}, GOOD, prediction_id=str(i)) for i in range(3)]
    batches = run(*wide).batches
    assert [len(batch.features) for batch in batches] == [3000, 3000, 3000]


def test_an_own_fault_is_counted(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(f"{decode.__module__}.{decode_exchange.__name__}", broken)
    assert decode([exchange([{}, {}], [GOOD, GOOD])], OPTIONS, unix_at).dropped == {"internal_error": 1}


def test_settings_name_every_decoder_in_its_order() -> None:
    assert tuple(DECODERS) == DECODER_NAMES


@pytest.mark.parametrize(
    ("body", "content_type", "rows", "wrong"),
    [
        ([[1, 2], [3, 4]], b"application/json", 2, 0),
        ([[1, 2, 3], [4, 5, 6]], b"application/json", 2, 2),
        ([[1], [4], [5, 6]], b"application/json", 3, 2),  # and one bad row
        ([[1, 2], [3, 4], [5, 6, 7]], b"application/json", 3, 0),
        (b"1,2,3\n4,5,6\n7,8,9\n", b"text/csv", 3, 3),
        (b"a,b,c\n4,5,6\n7,8,9\n", b"text/csv", 2, 0),
        ({"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}, b"", 1, 1),
        ({"a": 1, "b": 2, "c": 3}, b"application/json", 1, 0),
    ],
)
def test_nameless_values_in_another_number_than_the_names(
    exchange: Make, body: Any, content_type: bytes, rows: int, wrong: int
) -> None:
    headers = ((b"content-type", content_type),)
    one = exchange(body, {"predictions": [0.5] * rows}, request_headers=headers)
    decoded = run(one, options=DecodeOptions("m", feature_names=("a", "b")))
    assert decoded.wrong_width == ({"unversioned": wrong} if wrong else {})
    assert "wrong_width" not in decoded.skipped
