"""Exchanges decoded together say what they say one by one."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from decode_run import GOOD, OPTIONS, Make, unix_at

from mlmon_sidecar.decode import alike
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.json_predictions import FEW_MEMBERS, parts_alike, parts_of_one
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.records import Annotation, Decoded, End, Exchange
from mlmon_sidecar.selectors import Selector

JSON = (b"content-type", b"application/json")
REQUESTS: Sequence[object] = (
    {"amount": 1.5, "country": "PT", "new": None, "id": "tx-1"},
    {"amount": 2, "country": "ES"},
    {"amount": True, "who": {"age": 30, "tags": ["a", "b"]}, "id": 17},
    {"country": "FR", "amount": "many", "id": ["x"]},
    {"features": {"amount": 3.25, "country": "IT"}, "id": "\x00"},
    {"features": [1.0, 2.0]},
    {"instances": [[1.0, 2.0]]},
    {"instances": [{"amount": 7}, {"amount": 8}]},
    [{"amount": 4}],
    {"x": list(range(100))},
    {},
    7,
    None,
)
RESPONSES: Sequence[object] = (
    {"score": 0.7, "version": "v1"},
    {"score": 0.2, "version": ["v2"], "segment": "b"},
    {"score": None},
    {"score": "high", "label": None},
    {"prediction": "yes", "confidence": 0.9},
    {"prediction": 1, "score": 0.25, "confidence": 7},
    {"predictions": [0.4]},
    {"predictions": [0.4, 0.6]},
    {"predictions": []},
    {"label": "a", "probabilities": {"a": 0.9, "b": 0.1}},
    {"probabilities": [0.2, 0.8], "classes": ["n", "y"]},
    {"score": [0.25, 0.75], "version": "v1", "segment": [""]},
    [0.5],
    [{"score": 0.5}],
    0.5,
    "yes",
    None,
    {},
)
SELECTED = {
    "version": Selector.compile("response.version"),
    "id": Selector.compile("request.id"),
    "score": Selector.compile("response.score"),
    "segment": Selector.compile("response.segment"),
}
Forms = tuple[DecodeOptions, Sequence[object], Sequence[object]]
OPTION_SETS: Sequence[Forms] = (  # and what most exchanges look like under them
    (OPTIONS, REQUESTS[:2], RESPONSES[:2]),
    (DecodeOptions("m", decoder="json", kind="binary", positive="yes"), REQUESTS[:4], RESPONSES[:2]),
    (DecodeOptions("m", **SELECTED, slow_ns=1_500), REQUESTS[:4], RESPONSES[:2]),  # type: ignore[arg-type]
    (
        DecodeOptions(
            "m", version="v9", kind="multiclass", class_names=("n", "y"), segment=Selector.compile("header.x-a")
        ),
        REQUESTS[:2],
        [{"probabilities": [0.2, 0.8]}, {"label": "n"}],
    ),
    (
        DecodeOptions("m", kind="regression", features=Selector.compile("request.features")),
        REQUESTS[4:5],
        [{"prediction": 3}, {"prediction": 2.5}],
    ),
    (
        DecodeOptions("m", kind="binary", predicted=Selector.compile("response.prediction"), threshold=0.3),
        REQUESTS[:2],
        RESPONSES[4:6],
    ),
)


def random_exchange(make: Make, chance: random.Random, number: int, forms: Forms) -> Exchange:
    """Mostly of the usual forms, now and then any other."""
    _, requests, responses = forms
    plain = chance.random() < 0.7
    changes: dict[str, Any] = {"prediction_id": f"id-{number}", "started_ns": 1_000 + number, "ended_ns": 2_600}
    headers = [JSON]
    if chance.random() < 0.2:
        headers.append((b"x-request-id", f"caller-{number}".encode()))
    if chance.random() < 0.2:
        headers.append((b"x-a", b"north"))
    changes["request_headers"] = tuple(headers)
    changes["path"] = chance.choice(["/score", "/score", "/m/versions/3/score", "/v1/models/m:predict"])
    if not plain and chance.random() < 0.4:
        changes |= chance.choice(ODD)
    return make(
        chance.choice(requests if plain else REQUESTS), chance.choice(responses if plain else RESPONSES), **changes
    )


ODD: Sequence[dict[str, Any]] = (
    {"status": 404},
    {"status": 500, "end": End.ERROR},
    {"end": End.DISCONNECT},
    {"method": "HEAD"},
    {"annotations": (Annotation({"said": 1}, 0.5, None, "s"),)},
    {"request_headers": ((b"content-type", b"application/json; charset=utf-16"),)},
    {"request_headers": ()},
    {"request_headers": ((b"content-type", b"text/plain"), JSON)},
    {"request_headers": (JSON, (b"content-encoding", b"gzip"))},
    {"request_body": (b'{"amount": NaN}',), "request_bytes": 15},
    {"request_body": (b'{"amount":', b" 3}"), "request_bytes": 13},
    {"request_body": (b'{"amount":',), "request_bytes": 10},
    {"request_body": (), "request_bytes": 100_000},
)


def said(decoded: Decoded) -> object:
    """All of it, in a form that compares."""
    rows = [
        repr((batch.version, *row, {name: column[at] for name, column in sorted(batch.features.items())}))
        for batch in decoded.batches
        for at, row in enumerate(
            zip(
                batch.event_ns.tolist(), batch.weight.tolist(), batch.prediction_ids, batch.aliases,
                map(plain_float, batch.score.tolist()), batch.predicted, map(plain_float, batch.confidence.tolist()),
                batch.segments, batch.traces, batch.exemplar, strict=True,
            )
        )
    ]  # fmt: skip
    counts = decoded.exchanges, decoded.dropped, decoded.skipped, decoded.wrong_width
    return counts, rows, [(batch.version, list(batch.features)) for batch in decoded.batches]


def plain_float(value: float) -> float | None:
    return None if math.isnan(value) else value


@pytest.mark.parametrize("forms", OPTION_SETS, ids=range(len(OPTION_SETS)))
@pytest.mark.parametrize("seed", range(8))
def test_together_is_one_by_one(forms: Forms, seed: int, exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, options = random.Random(seed), forms[0]
    exchanges = [random_exchange(exchange, chance, number, forms) for number in range(60)]
    decode(exchanges, options, unix_at)  # every protocol is known
    together = decode(exchanges, options, unix_at)
    monkeypatch.setattr(alike.Run, "take", lambda *_: False)
    alone = decode(exchanges, options, unix_at)
    assert said(together) == said(alone)
    assert alone.exchanges > 15


def taken(exchanges: Sequence[Exchange], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of the usual kind each, or not."""
    found: list[bool] = []
    take: Callable[[alike.Run, Exchange], bool] = alike.Run.take

    def noted(run: alike.Run, exchange: Exchange) -> bool:
        found.append(take(run, exchange))
        return found[-1]

    monkeypatch.setattr(alike.Run, "take", noted)
    decode(exchanges, OPTIONS, unix_at)
    return found


def test_the_usual_exchange_is_decoded_with_its_like(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [exchange({"amount": at, "who": {"age": 3}}, GOOD) for at in range(5)]
    decode(usual[:1], OPTIONS, unix_at)  # the protocol is known from here on
    assert taken(usual, monkeypatch) == [True] * 5


def test_after_a_body_for_nothing_no_more_of_its_path_are_parsed_twice(
    exchange: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [exchange({"instances": [[1, 2], [3, 4]]}, {"predictions": [0.1, 0.2]}) for _ in range(4)]
    decode(rows, OPTIONS, unix_at)
    parsed: list[object] = []
    real = alike.found_in
    monkeypatch.setattr(alike, "found_in", lambda body, options: (parsed.append(body), real(body, options))[1])
    assert decode(rows, OPTIONS, unix_at).exchanges == 4
    assert len(parsed) == 1


def test_a_fault_here_costs_no_row(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = [exchange({"amount": at}, GOOD) for at in range(5)]
    decode(usual[:1], OPTIONS, unix_at)

    def broken(*_: object) -> object:
        raise RuntimeError

    monkeypatch.setattr(alike, "together", broken)
    assert decode(usual, OPTIONS, unix_at).exchanges == 5
    monkeypatch.setattr(alike, "found_in", broken)
    assert decode(usual, OPTIONS, unix_at).exchanges == 5


ANSWERS = (
    [{"score": 0.5}, {"score": None}, {"score": "x"}],
    [{"prediction": 1, "score": 0.5, "confidence": 2}, {"prediction": None, "score": 1, "confidence": None}],
    [{"version": "v1"}, {"version": {"a": 1}}],
    [{}, {}],
)


@pytest.mark.parametrize("answers", ANSWERS)
def test_answers_of_one_form_hold_what_each_holds(answers: list[object]) -> None:
    found = parts_alike(answers)
    assert found is not None
    assert list(zip(*found, strict=True)) == [parts_of_one(answer) for answer in answers]


@pytest.mark.parametrize(
    "answers",
    [
        [{"score": 0.5}, {"label": "a"}],
        [{"score": 0.5}, {"score": [0.5]}],
        [{"score": 0.5, "probability": 0.5}, {"score": None, "probability": 0.5}],
        [{"score": 0.5}, 0.5],
        [0.5, 0.5],
        [{f"x{at}": 1 for at in range(FEW_MEMBERS + 1)}],
        [],
    ],
)
def test_other_answers_are_looked_at_one_by_one(answers: list[object]) -> None:
    assert parts_alike(answers) is None


def test_a_flat_object_is_no_row_where_a_selector_says_where_rows_are(exchange: Make) -> None:
    options = DecodeOptions("m", decoder="json", features=Selector.compile("request.features"))
    made = [exchange({"amount": number, "country": "PT"}, GOOD) for number in range(3)]
    decoded = decode(made, options, unix_at)
    assert not decoded.batches and decoded.dropped == {"wrong_shape": 3}
