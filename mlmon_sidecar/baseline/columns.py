"""Which columns of a table are features, and what kind each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.baseline.cuts import FIGURE_BINS, coarse, cut
from mlmon_sidecar.statistics.layout import (
    CategoricalFeature,
    Feature,
    NumericFeature,
    category_token,
    hashed_token,
)

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

RedactCategory = Callable[[str, str], str]
"""(column name, token) -> the token as it may be kept. The same function that serving counts with."""

LISTED_CATEGORIES = 100
ALARM_CATEGORIES = 20
MIN_CATEGORY_ROWS = 20  # a category seen less often is kept as a hash
MAX_KNOWN = 10_000  # hashes of further categories; beyond it a rare one counts as new
NUMERIC_SHARE = 0.95  # of the values that are there; the rest count as invalid
RANGE = (0.001, 0.999)  # quantiles kept instead of the extremes, which are single people's values
TIME_CORRELATION = 0.95


def numbers(column: Sequence[object]) -> FloatVector | None:
    """The finite numbers of a numeric column; None where it is not numeric. Booleans are categories."""
    present = [value for value in column if value is not None]
    found = [float(v) for v in present if isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < 1e300]
    if not found or len(found) < NUMERIC_SHARE * len(present):
        return None
    return np.array(found)


def unfit(name: str, column: Sequence[object], time: IntVector | None) -> str:
    """Why a column is no feature; "" where it is one. ``time`` is (rows,) Unix ns."""
    present = [value for value in column if value is not None]
    if not present:
        return f"{name}: empty"
    if any(not isinstance(value, (str, int, float)) for value in present):
        return f"{name}: holds nested values"
    values = numbers(column)
    if values is None:
        unique = len({category_token(value) for value in present})
        return f"{name}: every value is different, like an id" if len(present) > 1 and unique == len(present) else ""
    if time is not None and abs(rank_correlation(*_complete(column, time))) > TIME_CORRELATION:
        return f"{name}: follows time"
    if len(values) > 1 and (np.diff(values) == 1).all():
        return f"{name}: numbers the rows"
    return ""


def feature_of(name: str, column: Sequence[object], redact: RedactCategory, *, alarm_edges_only: bool) -> Feature:
    """The frozen cutting of one column that is not ``unfit``."""
    values = numbers(column)
    return _categorical(name, column, redact) if values is None else _numeric(name, values, alarm_edges_only)


def unseen_rate(column: Sequence[object]) -> float:
    """Good-Turing: the next row brings an unseen category as often as rows brought one that stayed alone.

    Never 0: absence from m rows says "less than about 1/m".
    """
    counts = Counter(category_token(value) for value in column if value is not None)
    return max(1, sum(1 for count in counts.values() if count == 1)) / max(1, sum(counts.values()))


def rank_correlation(x: FloatVector, y: FloatVector) -> float:
    """Spearman's, ties at their mean rank; 0 where one side is constant.

    >>> rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([10.0, 20.0, 30.0]))
    1.0
    """
    a, b = (_ranks(side) for side in (x, y))
    spread = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / spread if spread else 0.0


def _ranks(values: FloatVector) -> FloatVector:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: FloatVector = (ends - (counts - 1) / 2)[place.reshape(-1)]
    ranks -= ranks.mean()
    return ranks


def _complete(column: Sequence[object], time: IntVector) -> tuple[FloatVector, FloatVector]:
    kept = [at for at, v in enumerate(column) if isinstance(v, (int, float)) and abs(v) < 1e300]
    values = np.array([column[at] for at in kept], dtype=np.float64)
    return values, time[kept].astype(np.float64)


def _numeric(name: str, values: FloatVector, alarm_edges_only: bool) -> NumericFeature:
    cuts = cut(values, FIGURE_BINS)
    cuts = coarse(cuts) if alarm_edges_only else cuts
    low, high = np.quantile(values, RANGE)
    spread = float(values.std())
    return NumericFeature(
        name=name,
        edges=cuts.edges,
        alarm=cuts.alarm,
        minimum=float(low),
        maximum=float(high),
        center=float(values.mean()),
        scale=spread if spread > 0 and np.isfinite(spread) else 1.0,
    )


def _categorical(name: str, column: Sequence[object], redact: RedactCategory) -> CategoricalFeature:
    raw = Counter(category_token(value) for value in column if value is not None)
    counts: Counter[str] = Counter()
    for token, count in raw.items():
        counts[redact(name, token)] += count
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    listed = [token for token, count in ranked[:LISTED_CATEGORIES] if count >= MIN_CATEGORY_ROWS]
    rest = [token for token, _ in ranked if token not in set(listed)][:MAX_KNOWN]
    return CategoricalFeature(
        name=name,
        categories=tuple(listed),
        alarm=min(ALARM_CATEGORIES, len(listed)),
        known=tuple(sorted(map(hashed_token, rest))),
    )


Columns = Mapping[str, Sequence[object]]
