"""What a difference between two versions is said to be, word for word."""

from typing import Any

import numpy as np
import pytest

from mlmon_sidecar.checks import CHECKS, CheckContext
from mlmon_sidecar.checks.context import VersionDifferences
from mlmon_sidecar.records import Finding, Tier
from mlmon_sidecar.statistics.edetector import Alarm
from mlmon_sidecar.statistics.layout import (
    FIXED_POINT_UNIT,
    CategoricalFeature,
    Layout,
    NumericFeature,
    PredictionSpace,
)

CHECK = CHECKS["version_difference"]
LAYOUT = Layout(
    "m",
    (NumericFeature("x", (0.0, 10.0), (0, 1), -10.0, 20.0, 5.0, 10.0), CategoricalFeature("town", ("A", "B"), alarm=2)),
    PredictionSpace("binary", ("no", "yes"), "yes", (0.25, 0.5, 0.75), (1,), 0.5, 0.25),
)
ROWS = 1_000


def counts(new: bool) -> np.ndarray:
    """1,000 rows and requests; the new version has other figures throughout."""
    vector = np.zeros(LAYOUT.size, np.int64)
    cells, outputs = LAYOUT.traffic, LAYOUT.outputs
    vector[cells.rows] = vector[cells.requests] = ROWS
    vector[cells.duration.start + (8 if new else 5)] = ROWS  # 100 to 250 ms, 25 to 50 ms
    vector[cells.server_error] = 50 if new else 1
    vector[LAYOUT.cells["x"].bins] = (100, 200, 700) if new else (300, 400, 300)
    vector[LAYOUT.cells["town"].bins] = (200, 800, 0, 0) if new else (500, 500, 0, 0)
    vector[LAYOUT.cells["town"].null] = 90 if new else 10
    table = np.zeros((4, 3), np.int64)
    table[:, 1] = (100, 200, 300, 400) if new else (250, 250, 250, 250)
    vector[outputs.score_class] = table.reshape(-1)
    vector[outputs.score_rows] = ROWS
    vector[outputs.score_moments] = ROWS * FIXED_POINT_UNIT // 2 if new else 0  # mean .625, .5
    vector[outputs.classes] = (300, 700, 0) if new else (500, 500, 0)
    vector[outputs.confidence.start + (30 if new else 40)] = ROWS
    vector[outputs.confidence_ppm] = (610_000 if new else 810_000) * ROWS
    return vector


def found(*alarms: Alarm, **changes: Any) -> Finding:
    pair = VersionDifferences("v2", "v1", alarms=alarms, counts=(counts(True), counts(False)), **changes)
    (finding,) = CHECK.evaluate(CheckContext("m", 60, LAYOUT, versions=(pair,)))
    return finding


@pytest.mark.parametrize(
    ("stream", "unit", "name", "said", "tier"),
    [
        ("features", "x", "x", "x moved up: median 5 -> 12.9 (KS 0.40)", Tier.P3),
        ("features", "town", "town", "town changed: 'A' 50% -> 20% (TV 0.30)", Tier.P3),
        ("nulls", "town", "missing town", "town missing in 9.0% of rows, not 1.0%", Tier.P3),
        ("predictions", "score", "score", "score moved up: mean 0.5 -> 0.625 (KS 0.20)", Tier.P2),
        ("predictions", "class", "class", "class 'no' went from 50% to 30% (TV 0.20)", Tier.P2),
        ("predictions", "confidence", "confidence", "confidence moved down: mean 0.81 -> 0.61 (KS 1.00)", Tier.P2),
        ("service", "latency", "latency", "requests take longer, p50 37.5 -> 175 ms, p95 48.8 -> 242 ms", Tier.P2),
        ("service", "errors", "errors", "5.0% of requests end in a server error, not 0.1%", Tier.P2),
    ],
)
def test_one_difference(stream: str, unit: str, name: str, said: str, tier: Tier) -> None:
    finding = found(Alarm(stream, (unit,), (1.25,), (30,)))
    assert finding.summary == f"v2 vs v1: {said}"
    assert (finding.tier, finding.evidence, finding.rows) == (tier, 1.25, ROWS)
    assert finding.features == (f"v2 vs v1: {name}",)
    told = finding.details["differences"][f"v2 vs v1: {name}"]
    assert (told["evidence"], told["onset_minute"]) == (1.25, 30)


def test_inputs_and_answers_together_are_as_urgent_as_the_answers() -> None:
    finding = found(
        Alarm("features", ("x",), (1.1,), (1,)), Alarm("predictions", ("score",), (1.3,), (2,)), shadow=True
    )
    assert finding.tier is Tier.P2
    assert finding.evidence == 1.3
    assert finding.features == ("v2 vs v1: x", "v2 vs v1: score")
    assert finding.details["versions"] == {"v2 vs v1": {"shadow": True, "same_hours": True}}
    assert finding.summary.count("v2 vs v1: ") == 2


def test_what_is_alike_again_ends_under_its_name() -> None:
    pair = VersionDifferences("v2", "v1", closed=(("predictions", "score"), ("nulls", "x")))
    context = CheckContext("m", 60, LAYOUT, versions=(pair,))
    assert CHECK.evaluate(context) == []
    assert set(CHECK.resolved(context)) == {"v2 vs v1: score", "v2 vs v1: missing x"}
    assert CHECK.ready(context) == ""
