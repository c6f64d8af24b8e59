"""The sequential detector on what labels say: has the share of a class moved?

Each class that labels name is a unit of its own, watched both ways, with the tolerance of distributions (see
``indicators``): true classes wander and cluster as predicted ones do, so their slack is that of the predictions. The
rates of rare classes are too small to tell wander by.
Input of a step is (classes + 1,) counts of labels, those that name another class last.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.statistics.indicator_set import IndicatorBuilder, IndicatorSet
from mlmon_sidecar.statistics.indicators import FLOOR_H, LABELS, OUTCOME_STREAM_WEIGHT, Slack

OTHER_LABELS = "(other)"
RARE = 0.02  # share of a class


def label_indicators(classes: Sequence[str], labels: Sequence[int], slack: Slack) -> IndicatorSet:
    """``labels``: (classes,) labelled rows of the reference by class; their sum is > 0."""
    builder = IndicatorBuilder(weight_unit=1, stream_weight=OUTCOME_STREAM_WEIGHT)
    total, everything = sum(labels), range(len(classes) + 1)
    for cell, (name, rows) in enumerate(zip((*classes, OTHER_LABELS), (*labels, 0), strict=True)):
        builder.unit(LABELS, name, 1.0)
        own = Slack(slack.deff, 0.0) if rows / total < RARE else slack
        builder.two_sided([cell], everything, rows / total, FLOOR_H + own.h(total), slack.deff)
    return builder.build()
