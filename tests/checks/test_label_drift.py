"""Labels that name the classes otherwise than the baseline are told with their shares, once."""

import numpy as np
import pytest

from mlmon_sidecar.checks import CHECKS
from mlmon_sidecar.checks.context import CheckContext, LabelView
from mlmon_sidecar.records import Tier
from mlmon_sidecar.statistics.edetector import Detector, Step
from mlmon_sidecar.statistics.indicators import Slack
from mlmon_sidecar.statistics.label_detector import label_indicators
from mlmon_sidecar.statistics.layout import Layout

CHECK = CHECKS["label_drift"]
BEFORE = (7_000, 3_000)


def stepped(*days: tuple[int, int, int]) -> list[Step]:
    detector = Detector(label_indicators(("no", "yes"), BEFORE, Slack(1.0, 0.0)))
    state, steps = detector.initial(), []
    for day, labels in enumerate(days):
        steps.append(detector.step(state, np.array(labels), minute=day * 1440, hours=24.0))
        state = steps[-1].state
    return steps


def context(step: Step, *after: int) -> CheckContext:
    return CheckContext("m", 7, Layout.bare("m"), labels=LabelView(step, ("no", "yes"), (*BEFORE, 0), after))


def test_a_class_that_became_frequent_is_told_with_its_shares() -> None:
    (step,) = stepped((500, 500, 0))
    (finding,) = CHECK.evaluate(context(step, 500, 500, 0))
    assert (finding.rule, finding.tier, finding.rows) == ("label_drift", Tier.P3, 1_000)
    assert finding.features == ("yes", "no")
    assert finding.summary == "classes of 1,000 labels changed: 'yes' from 30% to 50%; 'no' from 70% to 50%"
    assert finding.value == pytest.approx(0.2) and finding.evidence > 1
    assert finding.details["shares"] == {"no": [0.7, 0.5], "yes": [0.3, 0.5]}


def test_the_same_shares_and_small_moves_are_silent() -> None:
    """.05 in Cohen's h lies within the tolerance, however many labels say so."""
    for labels in ((700, 300, 0), (68_000, 32_000, 0)):
        for step in stepped(*[labels] * 10):
            assert CHECK.evaluate(context(step, *labels)) == []


def test_a_class_nobody_knows_is_told_as_other() -> None:
    (step,) = stepped((600, 300, 100))
    (finding,) = CHECK.evaluate(context(step, 600, 300, 100))
    assert "'(other)' from 0% to 10%" in finding.summary


def test_it_ends_when_the_shares_are_back() -> None:
    steps = stepped((500, 500, 0), *[(700, 300, 0)] * 20)
    ended = [CHECK.resolved(context(step, 700, 300, 0)) for step in steps]
    assert ended[0] == () and {name for names in ended for name in names} == {"no", "yes"}
