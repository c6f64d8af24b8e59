"""The figures of several recorders in one process as those of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlmon_sidecar.export.catalog import CATALOG, Kind
from mlmon_sidecar.export.figures import newest
from mlmon_sidecar.records import Distribution, Measurement

Figure = Measurement | Distribution
_CUMULATIVE = frozenset({Kind.COUNTER, Kind.HISTOGRAM})


def summed(parts: Iterable[Sequence[Figure]]) -> Sequence[Figure]:
    """One figure for each name and set of attributes. Gauges are not additive: the largest is told."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Figure] = {}
    for part in parts:
        for figure in part:
            key = (figure.name, figure.attributes)
            found[key] = _both(found[key], figure) if key in found else figure
    return list(found.values())


def only_cumulative(figures: Sequence[Figure]) -> Sequence[Figure]:
    """Those that stay true when who counted them is gone."""
    return [figure for figure in figures if CATALOG[figure.name].kind in _CUMULATIVE]


def _both(one: Figure, other: Figure) -> Figure:
    if isinstance(one, Distribution) and isinstance(other, Distribution):
        counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
        exemplars = newest((*one.exemplars, *other.exemplars), len(counts))
        return one._replace(counts=counts, total=one.total + other.total, exemplars=exemplars)
    assert isinstance(one, Measurement) and isinstance(other, Measurement), "a name has one kind"
    if CATALOG[one.name].kind is Kind.GAUGE:
        return one._replace(value=max(one.value, other.value))
    return one._replace(value=one.value + other.value)
