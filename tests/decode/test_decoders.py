"""What every protocol keeps to, whichever it is: a new one is taken up by itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from decode_run import JSON, Make
from hypothesis import given, settings
from hypothesis import strategies as st

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.selectors import Selector
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

OPTIONS = DecodeOptions("m", max_rows=50)
DOCUMENTS: list[tuple[str, bytes, bytes]] = [
    ("/score", b"application/json", b'{"a": 1}'),
    ("/score", b"application/json", b'[{"a": 1}, {"a": 2}]'),
    ("/v1/models/m:predict", b"application/json", b'{"instances": [[1, 2], [3, 4]]}'),
    ("/v1/models/m:predict", b"application/json", b'{"predictions": [0.5, 0.5]}'),
    ("/v2/models/m/infer", b"application/json",
     b'{"id": "x", "inputs": [{"name": "a", "shape": [2, 1], "datatype": "FP32", "data": [1, 2]}]}'),
    ("/v2/models/m/infer", b"application/json",
     b'{"model_name": "m", "outputs": [{"name": "p", "shape": [2], "datatype": "INT64", "data": [1, 0]}]}'),
    ("/invocations", b"application/json", b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}'),
    ("/invocations", b"text/csv", b"1,2\n3,4\n"),
    ("/invocations", b"application/jsonlines", b'{"a": 1}\n{"a": 2}\n'),
    ("/predict", b"application/x-www-form-urlencoded", b"a=1&b=x"),
    ("/v1/chat/completions", b"application/json", b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'),
    ("/v1/chat/completions", b"text/event-stream",
     b'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: [DONE]\n\n'),
]  # fmt: skip


def sides(make: Make, path: str, media_type: bytes, body: bytes) -> Iterator[Side]:
    headers = ((b"content-type", media_type),)
    one = make(body, body, path=path, request_headers=headers, response_headers=headers)
    for direction in Direction:
        yield Side.of(one, direction)


def read(name: str, side: Side, options: DecodeOptions = OPTIONS, rows: int = 2) -> RequestRows | Answers | None:
    decoder = DECODERS[name]
    assert isinstance(decoder.claims(side, side.direction), str)
    try:
        if side.direction is Direction.REQUEST:
            found: Any = decoder.request(side, options)
            keeps_its_word(found)
        else:
            found = decoder.response(side, options, rows)
            assert isinstance(found, Answers)
            assert found.outputs is None or lengths(found) <= {rows} or found.outputs.predicted == ()
    except DecodeError as error:
        assert error.code in list(DropReason)
        assert error.__cause__ is None
        return None
    return found  # type: ignore[no-any-return]


def lengths(answers: Answers) -> set[int]:
    outputs = answers.outputs
    return set() if outputs is None else {len(outputs.score), len(outputs.predicted), len(outputs.confidence)}


def keeps_its_word(rows: RequestRows) -> None:
    assert isinstance(rows, RequestRows)
    assert 1 <= rows.count <= OPTIONS.max_rows
    assert not (rows.records and rows.columns)
    assert len(rows.records) in {0, rows.count}
    assert all(0 <= at < rows.count for at in rows.bad)
    for name, column in rows.columns.items():
        assert isinstance(name, str)
        assert len(column) == rows.count
        if isinstance(column, np.ndarray):
            assert column.dtype in (np.float64, np.int64)
        else:
            assert {type(value) for value in column} <= {str, int, float, bool, type(None), dict, list}


@pytest.mark.parametrize("name", DECODERS)
def test_the_table_knows_it_by_its_name(name: str) -> None:
    assert DECODERS[name].name == name


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=[f"{path} {kind.decode()}" for path, kind, _ in DOCUMENTS])
def test_it_reads_or_says_why_not(exchange: Make, name: str, document: tuple[str, bytes, bytes]) -> None:
    for side in sides(exchange, *document):
        read(name, side)
        cut = Side(side.body[:-3], side.media_type, side.parameters, side.headers, side.exchange, side.direction)
        read(name, cut)


@pytest.mark.parametrize("document", DOCUMENTS, ids=[f"{path} {kind.decode()}" for path, kind, _ in DOCUMENTS])
def test_who_claims_a_body_says_so_in_a_sentence_of_its_own(exchange: Make, document: tuple[str, bytes, bytes]) -> None:
    for side in sides(exchange, *document):
        reasons = [reason for decoder in DECODERS.values() if (reason := decoder.claims(side, side.direction))]
        assert len(set(reasons)) == len(reasons)
        assert all(reason == reason.strip() and len(reason) < 200 for reason in reasons)


@pytest.mark.parametrize("name", DECODERS)
def test_selectors_are_left_to_the_core(exchange: Make, name: str) -> None:
    options = DecodeOptions("m", score=Selector.compile("response.odd.place"))
    for side in sides(exchange, "/score", JSON[1], b'{"odd": {"place": [1, 2]}, "predictions": [1, 2, 3]}'):
        if side.direction is Direction.RESPONSE and DECODERS[name].claims(side, side.direction):
            found = read(name, side, options)
            assert isinstance(found, Answers)
            assert found.document == side.json()


@settings(max_examples=200)
@given(
    name=st.sampled_from(sorted(DECODERS)),
    body=st.binary(max_size=80),
    document=st.sampled_from(DOCUMENTS),
    place=st.integers(0, 100),
    rows=st.integers(1, 3),
)
def test_damage_never_raises_anything_else(
    exchange: Make, name: str, body: bytes, document: tuple[str, bytes, bytes], place: int, rows: int
) -> None:
    path, media_type, sound = document
    for damaged in (body, sound[:place] + body + sound[place + len(body) :]):
        for side in sides(exchange, path, media_type, damaged):
            read(name, side, rows=rows)
