"""What rows are expected to look like, and windows of values that look like something else.

Pure functions of values and reference quantiles. That a column is a power of ten off, or stands in another's place, is
known by its quartiles: both leave a column numeric, complete and, for a while, plausible.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.statistics.layout import (
    CategoricalCells,
    CategoricalFeature,
    Layout,
    NumericCells,
    NumericFeature,
)
from mlmon_sidecar.statistics.quantiles import quantiles

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

WINDOW_ROWS = 256  # values of one column that are looked at together
LARGEST_POWER = 6  # 10**-6 to 10**6
POWER_SLACK = 0.1  # in log10 of the spread; the spread of 256 values errs by 0.04 (one standard deviation)
CENTRE_SLACK = 0.5  # of the reference's spread, for the median after rescaling
STRANGE = 0.5  # Kolmogorov-Smirnov distance from which a column is not what it was
ALIKE = 0.2  # and below which it is what another was; 256 equal draws stay below with probability 1 - 1e-8
SHARES = tuple((at + 0.5) / 40 for at in range(40))
_QUARTILES = (0.25, 0.5, 0.75)

NUMBER, TEXT, ANY = "number", "text", "any"


@dataclass(frozen=True, slots=True)
class ExpectedColumn:
    """One column.

    Attributes:
        kind: ``NUMBER``, ``TEXT`` (no number or boolean belongs there) or ``ANY``.
        quartiles: of healthy values; None where unknown or not numeric.
        quantiles: at ``SHARES``, ascending; None likewise.
        required: healthy rows always have a value.
    """

    kind: str
    quartiles: tuple[float, float, float] | None = None
    quantiles: tuple[float, ...] | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedSchema:
    """The columns of one model by name, and further names that are no surprise."""

    columns: Mapping[str, ExpectedColumn] = field(default_factory=dict)
    known: frozenset[str] = frozenset()


def expected_schema(layout: Layout, reference: IntVector, known: frozenset[str] = frozenset()) -> ExpectedSchema:
    """What a baseline leads to expect. ``reference``: (layout.size,) counts; ``known``: columns it left out."""
    columns: dict[str, ExpectedColumn] = {}
    for feature, cells in layout.numeric():
        columns[feature.name] = _numeric(feature, reference[cells.bins], _never_null(reference, cells))
    for category, its in layout.categorical():
        columns[category.name] = ExpectedColumn(_category_kind(category), required=_never_null(reference, its))
    return ExpectedSchema({feature.name: columns[feature.name] for feature in layout.features}, known)


def _never_null(reference: IntVector, cells: NumericCells | CategoricalCells) -> bool:
    return int(reference[cells.null]) == 0 and int(reference[cells.bins].sum()) > 0


def _numeric(feature: NumericFeature, bins: IntVector, required: bool) -> ExpectedColumn:
    quartiles, whole = quantiles(feature, bins, _QUARTILES), quantiles(feature, bins, SHARES)
    if quartiles is None or whole is None:
        return ExpectedColumn(NUMBER, required=required)
    low, middle, high = quartiles.tolist()
    return ExpectedColumn(NUMBER, (low, middle, high), tuple(whole.tolist()), required)


def _category_kind(feature: CategoricalFeature) -> str:
    """``TEXT`` only where every listed category can come from a text alone."""
    if not feature.categories or feature.known:
        return ANY
    return ANY if any(_is_number_or_boolean(token) for token in feature.categories) else TEXT


def _is_number_or_boolean(token: str) -> bool:
    if token in {"true", "false"}:
        return True
    try:
        float(token)
    except ValueError:
        return False
    return True


def power_of_ten(values: FloatVector, expected: ExpectedColumn) -> int:
    """k where the values look like healthy ones times 10**k; 0 where they do not, or nothing is known.

    The spread between the quartiles decides, and the median has to agree, so that a column around zero is judged too.
    """
    if expected.quartiles is None:
        return 0
    low, middle, high = expected.quartiles
    first, median, third = np.quantile(values, _QUARTILES).tolist()
    spread, healthy = third - first, high - low
    if spread <= 0 or healthy <= 0:
        return 0
    exact = math.log10(spread / healthy)
    power = round(exact)
    if power == 0 or abs(power) > LARGEST_POWER or abs(exact - power) > POWER_SLACK:
        return 0
    return power if abs(median / 10.0**power - middle) <= CENTRE_SLACK * healthy else 0


def exchanged(values: Mapping[str, FloatVector], expected: Mapping[str, ExpectedColumn]) -> dict[str, str]:
    """Columns that stand in each other's places: each with the one whose values it holds.

    A column counts when it is far from itself and near exactly one other, and the columns so found are a permutation of
    each other: two that merely became alike are not.
    """
    ordered = {name: np.sort(found) for name, found in values.items() if expected[name].quantiles}
    strange = [name for name, found in ordered.items() if _ks(found, [expected[name]])[0] > STRANGE]
    holds: dict[str, str] = {}
    for name in strange:
        distances = _ks(ordered[name], [expected[other] for other in strange])
        near = [other for other, far in zip(strange, distances, strict=True) if other != name and far < ALIKE]
        if len(near) == 1:
            holds[name] = near[0]
    while holds.keys() != set(holds.values()):
        closed = {name: other for name, other in holds.items() if other in holds and name in holds.values()}
        if len(closed) == len(holds):
            return {}  # two hold the same
        holds = closed
    return holds


def _ks(ordered: FloatVector, expected: Sequence[ExpectedColumn]) -> list[float]:
    """Of each column: the largest difference between the share of values up to each healthy quantile and its own
    share."""
    points = np.array([column.quantiles for column in expected])  # (columns, shares)
    up_to = np.searchsorted(ordered, points, side="right") / len(ordered)
    below = np.searchsorted(ordered, points, side="left") / len(ordered)
    shares = np.array(SHARES)
    # With ties the share at a point may be anything between the two.
    return np.maximum(below - shares, shares - up_to).max(axis=1, initial=0.0).tolist()  # type: ignore[no-any-return]
