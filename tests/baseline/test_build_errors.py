"""What a baseline of a model that predicts numbers knows of its errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.compare import compare
from mlmon_sidecar.baseline.describe import describe
from mlmon_sidecar.baseline.document import Baseline, Roles

RNG = np.random.default_rng(8)
SIZE = RNG.normal(80, 20, 3_000)
PRICE = 3_000 * SIZE + RNG.normal(0, 20_000, 3_000)
SAID = 3_000 * SIZE


def same(_column: str, token: str) -> str:
    return token


def build(labels: list[object], prediction: str = "score") -> Baseline:
    columns: dict[str, list[object]] = {"size": SIZE.tolist(), "said": SAID.tolist(), "price": labels}
    roles = Roles(label="price", **{prediction: "said"})
    return build_baseline(
        columns, roles, Purpose("homes"), redact_category=same, policy="p", created="2026-01-01T00:00:00Z", source="t"
    )


BUILT = build(PRICE.tolist())


@pytest.mark.parametrize("prediction", ["score", "prediction"])
def test_four_fifths_of_the_errors_are_within_the_tolerance(prediction: str) -> None:
    errors = np.abs(SAID - PRICE)
    described = describe(build(PRICE.tolist(), prediction))
    assert described.within is not None and described.labelled == 3_000 and described.accuracy is None
    tolerance, share = described.within
    quantile = float(np.quantile(errors, 0.8))
    assert quantile / 1.001 <= tolerance <= quantile * 2 ** (1 / 8) * 1.001
    assert share == pytest.approx(float(np.mean(errors <= tolerance)), abs=1e-9)


def test_a_constant_answer_is_right_as_often_as_the_labels_are_near_the_mean_prediction() -> None:
    assert describe(BUILT).within is not None
    tolerance, _ = describe(BUILT).within or (0.0, 0.0)
    near = sum(constant for bin_, _, constant in BUILT.reference.errors if 2 ** (bin_ / 8) <= tolerance)
    assert near / 3_000 == pytest.approx(float(np.mean(np.abs(SAID.mean() - PRICE) <= tolerance)), abs=0.01)
    assert sum(constant for *_, constant in BUILT.reference.errors) == 3_000


def test_labels_that_are_missing_or_no_numbers_are_left_out() -> None:
    spoilt = [None if k % 3 == 0 else "n/a" if k % 3 == 1 else price for k, price in enumerate(PRICE.tolist())]
    assert sum(rows for _, rows, _ in build(spoilt).reference.errors) == 1_000
    assert build([None] * 3_000).reference.errors == ()


def test_errors_are_in_the_document_and_documents_without_them_still_load(tmp_path: Path) -> None:
    BUILT.save(tmp_path / "b.json")
    again = Baseline.load(tmp_path / "b.json")
    assert again.reference.errors == BUILT.reference.errors and again.reference.errors
    document = json.loads((tmp_path / "b.json").read_text())
    del document["reference"]["errors"]
    assert Baseline.from_document(document).reference.errors == ()
    assert "errors" not in build([None] * 3_000).to_document()["reference"]


def test_a_comparison_tells_another_tolerance() -> None:
    worse = build((PRICE + RNG.normal(0, 60_000, 3_000)).tolist())
    figures = {name: (old, new) for name, old, new in compare(BUILT, worse).figures if old != new}
    old, new = figures["error tolerance, share within"]
    assert new[0] > 2 * old[0]
