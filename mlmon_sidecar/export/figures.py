"""Current figures, gathered from their sources and held against the catalogue. Imports no OpenTelemetry.

What the catalogue does not know is counted and left out, so that no part can widen what leaves the process; a figure
that is not a finite number becomes no point; a source that fails costs only its own figures.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from mlmon_sidecar.export.catalog import BIN, CATALOG, MAX_ATTRIBUTES, MODEL_NAME, NEWER_NAMES, Emitter, Kind, Metric
from mlmon_sidecar.export.text import clean
from mlmon_sidecar.interfaces import Source
from mlmon_sidecar.records import Distribution, Measurement
from mlmon_sidecar.telemetry import ERRORS_PREFIX, Telemetry

MAX_SERIES_PROCESS = 250  # of one process, over all its own figures
MAX_SERIES_MODEL = 1000  # of one model, over all model-level figures
_INT64 = 1 << 63

Attributes = tuple[tuple[str, str], ...]


class Buckets(NamedTuple):
    """A cumulative histogram: ``len(counts) == len(bounds) + 1``."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


Value = int | float | Buckets
Figures = dict[str, dict[Attributes, Value]]
"""Metric name to series; a series is its sorted attributes."""


class Refused(Exception):
    """A figure the catalogue has no place for. ``args[0]`` is the bounded reason that is counted."""


class Collector:
    """Asks every source in turn. Never raises."""

    def __init__(self, sources: Sequence[Source], telemetry: Telemetry) -> None:
        self._sources = sources
        self._telemetry = telemetry

    def collect(self) -> Figures:
        figures: Figures = {}
        series: Counter[str] = Counter()
        for source in self._sources:
            try:
                found = source()
            except Exception as error:
                self._telemetry.failed("export", error)
                continue
            for figure in found:
                try:
                    _add(figures, series, figure)
                except Refused as reason:
                    self._telemetry.add(f"{ERRORS_PREFIX}export.{reason.args[0]}")
        return figures


def _add(figures: Figures, series: Counter[str], figure: Measurement | Distribution) -> None:
    metric = CATALOG.get(figure.name)
    if metric is None:
        raise Refused("unknown_metric")
    value = _value(metric, figure)
    if value is None:
        return
    attributes = _attributes(metric, figure.attributes)
    points = figures.setdefault(metric.name, {})
    if attributes in points:
        raise Refused("duplicate_series")
    budget, limit = _budget(metric, attributes)
    if series[budget] >= limit:
        raise Refused("over_budget")
    series[budget] += 1
    points[attributes] = value


def _budget(metric: Metric, attributes: Attributes) -> tuple[str, int]:
    if metric.source is Emitter.PROCESS:
        return "", MAX_SERIES_PROCESS
    kind = "bins" if BIN in metric.attributes else "model"  # bins are asked for, and cost no other figure its place
    return f"{kind} {dict(attributes).get(MODEL_NAME, '')}", MAX_SERIES_MODEL


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
    return Buckets(tuple(map(float, figure.bounds)), tuple(map(int, figure.counts)), float(figure.total))


def _number(value: int | float) -> int | float | None:
    """A plain int or float: one unusual number type, or one beyond 64 bits, would fail the whole request."""
    if isinstance(value, int):
        return int(value) if -_INT64 <= value < _INT64 else float(value)
    return float(value) if math.isfinite(value) else None
