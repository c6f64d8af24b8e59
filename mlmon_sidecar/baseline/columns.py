"""What a look at every row tells of one column: whether it is a feature, of which kind, and how it is cut."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from mlmon_sidecar.baseline.cuts import FEW_DISTINCT, FIGURE_BINS, cut
from mlmon_sidecar.baseline.sketch import Numbers
from mlmon_sidecar.baseline.tokens import DistinctSample, Texts, unseen_rate
from mlmon_sidecar.statistics.layout import (
    CategoricalFeature,
    Feature,
    NumericFeature,
    category_token,
    hashed_token,
)

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.sketch import Cells
    from mlmon_sidecar.records import FloatVector, IntVector

RedactCategory = Callable[[str, str], str]
"""(column name, token) -> the token as it may be kept. The same function that serving counts with."""

LISTED_CATEGORIES = 100
ALARM_CATEGORIES = 20
MIN_CATEGORY_ROWS = 20  # a category seen less often is kept as a hash
NUMERIC_SHARE = 0.95  # of the values that are there; the rest count as invalid
MOSTLY = 0.5  # the same, of a column with more different numbers than categories could name
DATE_SHARE = 0.95
LARGEST = 1e300  # beyond it sums overflow
RANGE = (0.001, 0.999)  # quantiles kept instead of the extremes, which are single people's values
MAX_REMEMBERED = 8192  # redacted texts; then the memory starts afresh

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)


class Parts(NamedTuple):
    """Some values of one column, by what they are. Nulls are in none."""

    numbers: FloatVector  # finite
    counts: IntVector  # (numbers,)
    texts: Mapping[str, int]  # and booleans, as category tokens
    infinite: int  # or beyond ``LARGEST``
    nested: int


class ColumnLook:
    """One column, looked at a few rows at a time; ``cap`` bounds what is remembered of it.

    A column takes at most about 300 bytes a number and 550 a short text, ``cap`` of each.
    """

    def __init__(self, name: str, redact: RedactCategory, cap: int) -> None:
        self.name = name
        self.numbers = self.texts = self.infinite = self.nested = self.dates = 0  # rows
        self._cells, self._tokens, self._raw = Numbers(cap), Texts(cap), DistinctSample(cap)
        self._redact, self._remembered = redact, dict[str, str]()

    def add(self, column: Sequence[object], counts: IntVector) -> None:
        """In the first look. ``counts`` (rows,): how many rows each one stands for."""
        parts = parted(column, counts)
        self._cells.add(parts.numbers, parts.counts)
        self.numbers += int(parts.counts.sum())
        self.infinite += parts.infinite
        self.nested += parts.nested
        if parts.texts:
            self.texts += sum(parts.texts.values())
            self.dates += sum(count for text, count in parts.texts.items() if _DATE.fullmatch(text))
            self._raw.add(parts.texts)
            self._tokens.add(self._redacted(parts.texts))

    def look_closer(self, column: Sequence[object], counts: IntVector) -> None:
        """In a second look at the same rows, where it ``needs_closer``."""
        parts = parted(column, counts)
        if self.is_numeric:
            self._cells.look_closer(parts.numbers, parts.counts)
        else:
            self._tokens.look_closer(self._redacted(parts.texts))

    @property
    def needs_closer(self) -> bool:
        return self._cells.is_crowded if self.is_numeric else self._tokens.is_crowded

    @property
    def present(self) -> int:
        return self.numbers + self.texts + self.infinite + self.nested

    @property
    def is_numeric(self) -> bool:
        if not self.numbers or self.numbers < MOSTLY * self.present:
            return False
        return self.numbers >= NUMERIC_SHARE * self.present or not self._cells.cells().exact

    def unfit(self) -> str:
        """Why it is no feature; "" where it is one."""
        if not self.present:
            return "empty"
        if self.nested:
            return "holds nested values"
        if self.infinite == self.present:
            return "holds no finite number"
        if self.is_numeric:
            return "numbers the rows" if _numbers_rows(self._cells.cells()) else ""
        if self.dates >= DATE_SHARE * self.present:
            return "holds dates, which do not come again"
        if self.present == self.texts and self.texts > 1 and set(self._raw.counts().values()) == {1}:
            return f"{'' if self._raw.is_exact else 'nearly '}every value is different, like an id"
        return ""

    def remark(self) -> str:
        """What is worth knowing of a feature; "" for most."""
        if self.is_numeric and self.present > self.numbers:
            odd = self.present - self.numbers
            return f"{odd} of {self.present} values are no finite numbers and count as unusable"
        if self.is_numeric and len(self._cells.cells().rows) == 1:
            return "constant"
        if not self.is_numeric and self._tokens.is_crowded:
            return f"about {_rounded(self._raw.distinct)} different values, of which the frequent ones are known"
        return ""

    def feature(self) -> Feature:
        """The frozen cutting of a column that is not ``unfit``."""
        return self._numeric() if self.is_numeric else self._categorical()

    def frequent(self, most: int) -> tuple[str, ...]:
        """At most ``most`` values as they may be kept, the commonest first; none that fewer than 20 rows hold."""
        counts = self._tallied()
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        return tuple(token for token in ranked[:most] if counts[token] >= MIN_CATEGORY_ROWS)

    def unseen(self) -> float:
        """Probability that a row brings a category never seen; > 0."""
        return self._tokens.tallied().unseen if self._tokens.is_crowded else unseen_rate(self._tallied().values())

    def _numeric(self) -> NumericFeature:
        cells = self._cells.cells()
        cuts = cut(cells, FIGURE_BINS)
        center, spread = cells.mean_and_spread()
        return NumericFeature(
            name=self.name,
            edges=cuts.edges,
            alarm=cuts.alarm,
            minimum=cells.quantile(RANGE[0]),
            maximum=cells.quantile(RANGE[1]),
            center=center,
            scale=spread if spread > 0 else 1.0,
        )

    def _categorical(self) -> CategoricalFeature:
        counts = self._tallied()
        ranked = sorted(counts, key=lambda token: (-counts[token], token))
        listed = [token for token in ranked[:LISTED_CATEGORIES] if counts[token] >= MIN_CATEGORY_ROWS]
        further = {hashed_token(token) for token in counts.keys() - set(listed)}
        if self._tokens.is_crowded:
            further |= {f"#{word:016x}" for word in self._tokens.tallied().hashes}
        return CategoricalFeature(
            name=self.name,
            categories=tuple(listed),
            alarm=min(ALARM_CATEGORIES, len(listed)),
            known=tuple(sorted(further - set(map(hashed_token, listed)))),
        )

    def _tallied(self) -> Mapping[str, int]:
        """Rows of each text as it may be kept, numbers among texts included."""
        counts = dict(self._tokens.tallied().counts)
        cells = self._cells.cells()
        if self.numbers and cells.exact:
            for value, count in zip(cells.low.tolist(), cells.rows.tolist(), strict=True):
                token = self._redact(self.name, category_token(value))
                counts[token] = counts.get(token, 0) + count
        return counts

    def _redacted(self, texts: Mapping[str, int]) -> Mapping[str, int]:
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.clear()
        found: dict[str, int] = {}
        for text, count in texts.items():
            token = self._remembered.get(text)
            if token is None:
                token = self._remembered[text] = self._redact(self.name, text)
            found[token] = found.get(token, 0) + count
        return found


def parted(column: Sequence[object], counts: IntVector) -> Parts:
    """JSON values by what they are. ``counts`` (rows,)."""
    kinds = set(map(type, column))
    if kinds <= {int, float, NoneType}:
        try:
            return _all_numbers(np.array(column, dtype=np.float64), counts)
        except OverflowError:  # an integer beyond a double
            pass
    if kinds <= {str, NoneType} and int(counts.sum()) == len(counts):
        texts = Counter(cast("Sequence[str | None]", column))
        texts.pop(None, None)
        return Parts(np.zeros(0), np.zeros(0, dtype=np.int64), cast("Mapping[str, int]", texts), 0, 0)
    return _one_by_one(column, counts)


def number_of(value: object) -> float:
    """A finite number no greater than ``LARGEST``, else NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < LARGEST:
        return math.nan
    return float(value)


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


def _all_numbers(values: FloatVector, counts: IntVector) -> Parts:
    """``values`` (rows,), NaN where null."""
    finite = np.abs(values) < LARGEST
    infinite = int(counts[~finite & ~np.isnan(values)].sum())
    return Parts(values[finite], counts[finite], {}, infinite, 0)


def _one_by_one(column: Sequence[object], counts: IntVector) -> Parts:
    numbers, number_counts, texts = list[float](), list[int](), Counter[str]()
    infinite = nested = 0
    for value, count in zip(column, counts.tolist(), strict=True):
        if isinstance(value, (bool, str)):
            texts[category_token(value)] += count
        elif isinstance(value, (int, float)):
            number = number_of(value)
            if math.isnan(number):
                infinite += count
            else:
                numbers.append(number)
                number_counts.append(count)
        elif value is not None:
            nested += count
    return Parts(np.array(numbers), np.array(number_counts, dtype=np.int64), texts, infinite, nested)


def _numbers_rows(cells: Cells) -> bool:
    """Whether the values are whole, follow each other without a gap, and none comes twice, in whatever order."""
    if cells.total <= FEW_DISTINCT or not (cells.low == np.rint(cells.low)).all():
        return False
    spans = cells.high - cells.low + 1
    return bool((spans == cells.rows).all() and (cells.low[1:] - cells.high[:-1] == 1).all())


def _rounded(value: float) -> str:
    return f"{float(f'{value:.2g}'):,.0f}"
