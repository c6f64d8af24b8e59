"""How often a number is about right: the share of answers whose error is at most a tolerance.

A mean of errors can be carried by a single one, and has no bound to test it by. A share has: what most errors of the
held-out reference rows stay within is the tolerance, and fewer answers within it are evidence like any wrong class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlmon_sidecar.records import OutcomeCell
from mlmon_sidecar.statistics.error_bins import bin_in, upper_edge
from mlmon_sidecar.statistics.intervals import wilson

WITHIN_TOLERANCE = "within_tolerance"
USUAL_SHARE = 0.8  # of the reference's errors that lie within the tolerance, at least

ErrorBins = Sequence[tuple[int, int, int]]
"""(bin, rows, rows if every answer were the mean) of a reference, ascending (``statistics.error_bins``)."""


class Share(NamedTuple):
    """Of reference rows: how many lie within, out of how many, and the share that one constant answer reaches."""

    hits: int
    total: int
    chance: float


@dataclass(frozen=True, slots=True)
class Within:
    """The metric of a regression model. ``last``: the bin up to which errors are within the tolerance."""

    last: int

    @classmethod
    def usual(cls, errors: ErrorBins) -> Within | None:
        """The smallest tolerance that ``USUAL_SHARE`` of the reference's errors lie within; None without any."""
        total = sum(rows for _, rows, _ in errors)
        seen = 0
        for bin_, rows, _ in errors:
            seen += rows
            if rows and seen >= USUAL_SHARE * total:
                return cls(bin_)
        return None

    @property
    def name(self) -> str:
        return WITHIN_TOLERANCE

    @property
    def tolerance(self) -> float:
        """In the unit of the label."""
        return upper_edge(self.last)

    @property
    def parts(self) -> tuple[Within, ...]:
        return (self,)

    def counts(self, cells: Iterable[OutcomeCell]) -> tuple[int, int]:
        """(hits, total): signed, as the cells are. Labels that are no number belong to neither."""
        hits = total = 0
        for cell in cells:
            bin_ = bin_in(cell.actual)
            if bin_ is not None:
                hits += cell.rows * (bin_ <= self.last)
                total += cell.rows
        return hits, total

    def of_reference(self, errors: ErrorBins) -> Share:
        """The same of a reference."""
        within = [found for found in errors if found[0] <= self.last]
        total = sum(rows for _, rows, _ in errors)
        constant = sum(rows for _, _, rows in within) / total if total else 0.0
        return Share(sum(rows for _, rows, _ in within), total, constant)

    def of_counts(self, counts: Sequence[float]) -> float | None:
        """The share, of (hits, total); None where the total is 0."""
        return counts[0] / counts[1] if counts[1] > 0 else None

    def interval_of(self, counts: Sequence[float]) -> tuple[float, float] | None:
        """Its 95 % interval (Wilson); None where the total is 0."""
        return wilson(counts[0], counts[1]) if counts[1] > 0 else None
