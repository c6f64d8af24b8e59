"""What scores promise must fall by a tenth of what lies above chance, by two points, and by the detector."""

from dataclasses import replace

import pytest

from mlmon_sidecar.checks import CHECKS
from mlmon_sidecar.checks.context import CheckContext, EstimateView
from mlmon_sidecar.records import Tier
from mlmon_sidecar.statistics.edetector import Detector
from mlmon_sidecar.statistics.estimate_detector import estimate_indicators
from mlmon_sidecar.statistics.layout import Layout
from mlmon_sidecar.statistics.quality_detector import Part, counts

CHECK = CHECKS["estimate_drop"]


def context(
    share: float, tau: float = 0.0, baseline: float = 0.9, chance: float = 0.5, **changes: object
) -> CheckContext:
    rows = 20_000
    detector = Detector(estimate_indicators((Part(baseline, 50_000, chance),), tau))
    step = detector.step(detector.initial(), counts(round(rows * share), rows), minute=0, hours=24.0)
    view = EstimateView("accuracy", step, share, rows, baseline, chance, "")
    return CheckContext("m", 9, Layout.bare("m"), estimate=view._replace(**changes))


def test_a_fall_is_told_with_its_assumption() -> None:
    (finding,) = CHECK.evaluate(context(0.8))
    assert (finding.rule, finding.tier, finding.features) == ("estimate_drop", Tier.P2, ("accuracy",))
    assert finding.summary == (
        "estimated accuracy fell from 0.900 to 0.800 over 20,000 predictions, 25% of what lies above chance, "
        "if scores mean what they meant"
    )
    assert finding.threshold == pytest.approx(0.86) and finding.evidence > 1


@pytest.mark.parametrize("share", [0.93, 0.9, 0.88, 0.865])
def test_less_than_a_tenth_is_silent(share: float) -> None:
    assert CHECK.evaluate(context(share)) == []


def test_less_than_two_points_are_silent() -> None:
    assert CHECK.evaluate(context(0.972, baseline=0.99, chance=0.95)) == [], "45% of what lies above chance"
    assert CHECK.evaluate(context(0.969, baseline=0.99, chance=0.95))


def test_wander_that_is_known_is_no_fall() -> None:
    assert CHECK.evaluate(context(0.85)) and CHECK.evaluate(context(0.85, tau=0.08)) == []


def test_where_labels_belie_it_it_is_silent_and_ends() -> None:
    belied = context(0.8, suppressed="labels say otherwise")
    assert CHECK.evaluate(belied) == [] and CHECK.ready(belied) == "labels say otherwise"
    assert CHECK.resolved(belied) == ("accuracy",)


def test_it_ends_when_nothing_is_held() -> None:
    now = context(0.8)
    assert now.estimate is not None and CHECK.resolved(now) == ()
    step = replace(now.estimate.step, closed=(("estimates", "estimate"),), held=())
    assert CHECK.resolved(replace(now, estimate=now.estimate._replace(step=step))) == ("accuracy",)
