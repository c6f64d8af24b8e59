"""What the counts are compared with: replaceable without touching the layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlmon_sidecar.statistics.profile import UnitProfile

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


@dataclass(frozen=True, slots=True)
class Reference:
    """Counts of healthy data on one layout, and what was learned about their wander.

    Attributes:
        layout: hash of the layout the vector is cut by.
        version: model version the data belongs to.
        vector: (layout.size,) int64; every row weighs one request.
        hours: distinct hours with data; 0 where the data had no timestamps.
        tau: wander per feature in Cohen's h (0 or more); "*" is the value for any feature not listed.
        deff: design effect (clustering) per feature, 1 or more; "*" as above.
        profile: what the hour of day and the weekend do to a feature's shares; keyed as ``tau``.
        new_rate: Good-Turing probability of a category never seen, per categorical feature.
        weight: importance per feature, summing to 1.
        calibration: P(actual is positive | score bin) of a binary model, P(right | confidence bin) of one with
            several classes; empty without labels.
        calibration_rows: rows the calibration was fitted on.
        class_calibration: (classes, confidence bins) P(right | predicted class, bin); empty unless the layout
            counts both.
        confusion: (classes, classes) counts on held-out rows, actual-major; empty without labels.
        errors: (bin, rows, rows if every answer were the mean prediction) of a regression model's absolute errors on
            held-out rows, ascending (``error_bins``); empty without labels that are numbers.
        groups: features that say the same (absolute rank correlation above .8), two or more each, in the layout's
            order; a feature in none is a group of its own.
    """

    layout: str
    version: str
    vector: IntVector
    hours: int = 0
    tau: Mapping[str, float] = field(default_factory=dict)
    deff: Mapping[str, float] = field(default_factory=dict)
    profile: Mapping[str, UnitProfile] = field(default_factory=dict)
    new_rate: Mapping[str, float] = field(default_factory=dict)
    weight: Mapping[str, float] = field(default_factory=dict)
    calibration: tuple[float, ...] = ()
    calibration_rows: int = 0
    confusion: tuple[tuple[int, ...], ...] = ()
    class_calibration: tuple[tuple[float, ...], ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    errors: tuple[tuple[int, int, int], ...] = ()

    def group_of(self, name: str) -> tuple[str, ...]:
        """The features that go with a feature, itself among them."""
        return next((group for group in self.groups if name in group), (name,))
