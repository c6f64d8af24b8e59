"""Numbers and names as people read them in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlmon_sidecar.statistics.figures import FeatureFigures
    from mlmon_sidecar.statistics.mix import Split

MEDIAN = 2  # position in figures.QUANTILES
SHOWN = 3  # features told one by one; the rest are counted


def number(value: float) -> str:
    """Three significant digits, thousands separated.

    >>> number(12_437.2), number(0.12345), number(31)
    ('12,400', '0.123', '31')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded.is_integer() else f"{rounded:,g}"


def percent(share: float) -> str:
    """
    >>> percent(0.1234), percent(0.004)
    ('12%', '0.4%')
    """
    return f"{100 * share:.0f}%" if share >= 0.095 or share == 0 else f"{100 * share:.1f}%"


def change(before: FeatureFigures, after: FeatureFigures) -> str:
    """One clause: what moved, from where to where, how far."""
    size = f"{after.distance or 0:.2f}"
    if before.quantiles and after.quantiles:
        moved = movement("median", before.quantiles[MEDIAN], after.quantiles[MEDIAN])
        return f"{after.name} {moved} (KS {size})"
    if before.shares and after.shares and after.moved:
        old, new = dict(before.shares)[after.moved], dict(after.shares)[after.moved]
        return f"{after.name} changed: {after.moved!r} {percent(old)} -> {percent(new)} (TV {size})"
    return f"{after.name} changed"


def movement(figure: str, before: float, after: float) -> str:
    """The direction is that of the two figures told; a distribution may also change around them.

    >>> movement("median", 21_800, 41_800)
    'moved up: median 21,800 -> 41,800'
    >>> movement("mean", 0.4991, 0.4993)
    'changed: mean 0.499 -> 0.499'
    """
    told = number(before), number(after)
    verb = "changed" if told[0] == told[1] else "moved up" if after > before else "moved down"
    return f"{verb}: {figure} {told[0]} -> {told[1]}"


def by_segment(splits: Sequence[Split]) -> str:
    """Behind a clause: what of a change is another mix of segments, by each dimension; "" without any.

    >>> from mlmon_sidecar.statistics.mix import Split
    >>> by_segment([Split("country", "<= 3", 0.5, 0.7, 0.02, 0.18, "DE", 0.15)])
    ', by country 10% another mix and 90% within segments, most in DE'
    """
    told = ""
    for each in splits[:SHOWN]:
        most = f", most in {each.segment}" if each.segment else ""
        parts = f"{percent(each.mix_part)} another mix and {percent(1 - each.mix_part)} within segments"
        told += f", by {each.dimension} {parts}{most}"
    return told


def together(clauses: Sequence[str]) -> str:
    """
    >>> together(["a moved", "b moved"])
    'a moved; b moved'
    """
    rest = len(clauses) - SHOWN
    return "; ".join(clauses[:SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
