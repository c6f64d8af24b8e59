"""Every recorded pair becomes the columns and predictions that its server was sent and gave."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recorded import CASES, EXPECTED, FIXTURES, as_exchange, expected, recorded

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode import exchange as decode_exchange
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Direction, Side
from mlmon_sidecar.records import Exchange, PredictionBatch

Make = Callable[..., Exchange]
OPTIONS = DecodeOptions("m")
RECORDED = ("bentoml", "litserve", "kserve_v1", "open_inference", "mlflow")
DOCUMENTED = ("tf_serving", "sagemaker", "vertex")


def decoded(exchange: Exchange, options: DecodeOptions = OPTIONS) -> PredictionBatch:
    result = decode([exchange], options, lambda at: at)
    assert result.dropped == {}
    (batch,) = result.batches
    return batch


def nulls(values: object) -> list[object]:
    return [None if isinstance(value, float) and math.isnan(value) else value for value in list(values)]  # type: ignore[call-overload]


def assert_expected(batch: PredictionBatch, case: str) -> None:
    want = expected(case)
    columns = {name: np.asarray(column, dtype=object).tolist() for name, column in batch.features.items()}
    assert columns == want["columns"]
    types = {name: [type(cell) for cell in column] for name, column in want["columns"].items()}
    assert {name: [type(cell) for cell in column] for name, column in columns.items()} == types
    assert list(batch.predicted) == want["predicted"]
    assert nulls(batch.score.tolist()) == want["score"]
    assert nulls(batch.confidence.tolist()) == want["confidence"]
    assert list(batch.aliases) == want["aliases"]
    assert batch.version == want["version"]


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """One path belongs to one server; here several servers share theirs."""
    monkeypatch.setattr(decode_exchange, "DETECTION", Detection(DECODERS))


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, exchange: Make) -> None:
    assert_expected(decoded(as_exchange(case, exchange)), case)


@pytest.mark.parametrize("case", CASES)
def test_protocol_and_model(case: str, exchange: Make) -> None:
    want, made = expected(case), as_exchange(case, exchange)
    request, response = Side.of(made, Direction.REQUEST), Side.of(made, Direction.RESPONSE)
    detection = Detection(DECODERS)
    (asked,), (answered,) = detection.claims(request), detection.claims(response)
    assert [asked.decoder.name, answered.decoder.name] == want["protocols"]
    assert asked.reason
    assert answered.reason
    rows = asked.decoder.request(request, OPTIONS)
    answers = answered.decoder.response(response, OPTIONS, rows.count)
    assert [rows.model, answers.model] == want["models"]


@pytest.mark.parametrize("case", CASES)
def test_any_chunks(case: str, exchange: Make) -> None:
    """Servers pass bodies in pieces; where they are cut makes no difference."""
    made = as_exchange(case, exchange)
    (sent,), (given,) = made.request_body, made.response_body
    cut = made._replace(
        request_body=(sent[:1], sent[1 : len(sent) // 2], sent[len(sent) // 2 :]),
        response_body=(given[:-1], given[-1:]),
    )
    assert_expected(decoded(cut), case)


def test_every_fixture_is_complete() -> None:
    """No pair without expectation, no body that nobody reads, and an origin for each."""
    folders = {path.name for path in FIXTURES.iterdir()}
    assert folders >= {*RECORDED, *DOCUMENTED}
    for folder in (*RECORDED, *DOCUMENTED):
        pairs = [path for path in (FIXTURES / folder).glob("*.json") if not path.name.endswith(EXPECTED)]
        assert {f"{folder}/{path.stem}" for path in pairs} <= set(CASES)
        for path in pairs:
            assert_origin(f"{folder}/{path.stem}", folder in RECORDED)


def test_the_documented_order_is_the_order_of_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
    documented = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert len(documented) == 13
    assert [name for name in DECODERS if name in documented] == documented


def assert_origin(case: str, is_recorded: bool) -> None:
    origin = recorded(case)["origin"]
    if is_recorded:
        assert origin["version"]
        assert origin["recorded"]
        assert (Path(__file__).parents[2] / origin["by"]).exists()
    else:
        assert origin["written_from"].startswith("https://")
