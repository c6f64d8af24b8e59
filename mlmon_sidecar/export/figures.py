"""Current figures, gathered from their sources and held against the catalogue. Imports no OpenTelemetry.

What the catalogue does not know is counted and left out, so that no part can widen what leaves the process; a figure
that is not a finite number becomes no point; a source that fails costs only its own figures.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import NamedTuple

from mlmon_sidecar.export.budget import Attributes, Budget, OverBudget
from mlmon_sidecar.export.catalog import CATALOG, MAX_ATTRIBUTES, NEWER_NAMES, Kind, Metric
from mlmon_sidecar.export.text import clean
from mlmon_sidecar.interfaces import Source
from mlmon_sidecar.records import Distribution, Measurement, TraceExemplar
from mlmon_sidecar.telemetry import ERRORS_PREFIX, Telemetry

_INT64 = 1 << 63
MAX_TOLD = 20_000  # attributes that are remembered; then the memory starts afresh


class Buckets(NamedTuple):
    """A cumulative histogram: ``len(counts) == len(bounds) + 1``."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float
    exemplars: tuple[TraceExemplar, ...] = ()


Value = int | float | Buckets
Figures = dict[str, dict[Attributes, Value]]
"""Metric name to series; a series is its sorted attributes."""


class Refused(Exception):
    """A figure the catalogue has no place for. ``args[0]`` is the bounded reason that is counted."""


class Collector:
    """Asks every source in turn. Never raises. Several readers may ask it, each in its thread."""

    def __init__(self, sources: Sequence[Source], telemetry: Telemetry) -> None:
        self._sources = sources
        self._telemetry = telemetry
        self._budget = Budget()
        self._told: dict[tuple[str, Attributes], Attributes] = {}  # as they were given, to as they may be told
        self._lock = threading.Lock()

    def afresh(self) -> Collector:
        """The same for the child of a fork: it has series of its own, and nobody will free the lock there."""
        return Collector(self._sources, self._telemetry)

    def collect(self) -> Figures:
        given: list[Measurement | Distribution] = []
        for source in self._sources:
            try:
                given += source()
            except Exception as error:
                self._telemetry.failed("export", error)
        figures: Figures = {}
        seen: set[tuple[str, Attributes]] = set()
        with self._lock:
            self._budget.begin()
            for figure in given:
                try:
                    self._add(figures, seen, figure)
                except Refused as reason:
                    self._telemetry.add(f"{ERRORS_PREFIX}export.{reason.args[0]}")
        return figures

    def _add(self, figures: Figures, seen: set[tuple[str, Attributes]], figure: Measurement | Distribution) -> None:
        metric = CATALOG.get(figure.name)
        if metric is None:
            raise Refused("unknown_metric")
        value = _value(metric, figure)
        if value is None:
            return
        attributes = self._attributes(metric, figure.attributes)
        if (metric.name, attributes) in seen:
            raise Refused("duplicate_series")
        seen.add((metric.name, attributes))
        try:
            placed = self._budget.place(metric, attributes)
        except OverBudget:
            raise Refused("over_budget") from None
        points = figures.setdefault(metric.name, {})
        points[placed] = _sum(points[placed], value) if placed in points else value

    def _attributes(self, metric: Metric, given: Attributes) -> Attributes:
        """The same ones come with every collection."""
        told = self._told.get((metric.name, given))
        if told is None:
            if len(self._told) >= MAX_TOLD:
                self._told.clear()
            told = self._told[metric.name, given] = _attributes(metric, given)
        return told


def newest(exemplars: Sequence[TraceExemplar], limit: int) -> tuple[TraceExemplar, ...]:
    """Of several series that are told as one."""
    return tuple(sorted(exemplars, key=lambda one: one.at_ns)[-limit:])


def _sum(one: Value, other: Value) -> Value:
    if isinstance(one, Buckets) and isinstance(other, Buckets):
        if one.bounds != other.bounds:
            raise Refused("other_bounds")
        counts = tuple(a + b for a, b in zip(one.counts, other.counts, strict=True))
        exemplars = newest((*one.exemplars, *other.exemplars), len(counts))
        return Buckets(one.bounds, counts, one.total + other.total, exemplars)
    assert not isinstance(one, Buckets) and not isinstance(other, Buckets), "of one metric"
    return one + other


def _attributes(metric: Metric, given: Attributes) -> Attributes:
    if not {NEWER_NAMES.get(key, key) for key, _ in given} <= set(metric.attributes) or len(given) > MAX_ATTRIBUTES:
        raise Refused("unknown_attribute")
    return tuple(sorted((key, clean(value)) for key, value in given))


def _value(metric: Metric, figure: Measurement | Distribution) -> Value | None:
    """The value as the wire takes it; None where there is no number to send."""
    if isinstance(figure, Distribution) != (metric.kind is Kind.HISTOGRAM):
        raise Refused("wrong_kind")
    if isinstance(figure, Measurement):
        return _number(figure.value)
    if len(figure.counts) != len(figure.bounds) + 1:
        raise Refused("wrong_kind")
    if not math.isfinite(figure.total) or not all(map(math.isfinite, figure.bounds)):
        return None
    bounds, counts = tuple(map(float, figure.bounds)), tuple(map(int, figure.counts))
    return Buckets(bounds, counts, float(figure.total), figure.exemplars)


def _number(value: int | float) -> int | float | None:
    """A plain int or float: one unusual number type, or one beyond 64 bits, would fail the whole request."""
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else float(value)
    return float(value) if math.isfinite(value) else None
