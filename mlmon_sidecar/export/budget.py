"""How many series may leave, and what becomes of those beyond: a sum keeps its amount under ``_other``.

Counters, up-down counters and histograms add up, so a series that finds no place of its own is added to one where the
version, then the model, then every attribute reads ``_other``: sums over all series stay exact. Where a series goes is
decided when it is first seen, for as long as the process lives; a series that changed its place would count twice.
Gauges do not add up: those beyond the budget are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mlmon_sidecar.export.catalog import BIN, MODEL_NAME, MODEL_VERSION, Emitter, Kind, Metric

MAX_SERIES_PROCESS = 250  # of one process, over all its own figures
MAX_SERIES_MODEL = 1000  # of one model, over all model-level figures
SUMS_PROCESS = 180  # of them for what adds up; the rest is for gauges
SUMS_MODEL = 200
FOR_MODELS = 80  # of the sums, kept free of versions: for models, and attributes that are not told apart by version
FOR_METRICS = 40  # of the sums, kept for one series a metric
MAX_PLACED = 100_000  # series whose place is remembered; whoever makes more is counted under ``_other`` altogether
OTHER = "_other"

Attributes = tuple[tuple[str, str], ...]
Series = tuple[str, Attributes]


class OverBudget(Exception):
    """A gauge that has no place."""


class Budget:
    """Of one exporter. Not safe for threads."""

    def __init__(self) -> None:
        self._placed: dict[Series, Attributes] = {}
        self._taken: dict[str, set[Series]] = {}  # whose budget -> series that add up
        self._gauges: Counter[str] = Counter()  # the same, in the present collection

    def begin(self) -> None:
        """A collection begins: gauges come and go."""
        self._gauges.clear()

    def place(self, metric: Metric, attributes: Attributes) -> Attributes:
        """The attributes under which the figure leaves. Raises ``OverBudget``."""
        who, limit, sums = _of(metric, attributes)
        if metric.kind is Kind.GAUGE or BIN in metric.attributes:
            if self._gauges[who] >= limit - sums:
                raise OverBudget
            self._gauges[who] += 1
            return attributes
        series = (metric.name, attributes)
        placed = self._placed.get(series)
        if placed is None:
            placed = self._find(metric.name, attributes, self._taken.setdefault(who, set()), sums)
            if len(self._placed) < MAX_PLACED:
                self._placed[series] = placed
        return placed

    def _find(self, name: str, attributes: Attributes, taken: set[Series], sums: int) -> Attributes:
        for places, candidate in _candidates(attributes, sums, full=len(self._placed) >= MAX_PLACED):
            if (name, candidate) in taken or len(taken) < places:
                taken.add((name, candidate))
                return candidate
        raise AssertionError("one series a metric always has its place")


def _candidates(attributes: Attributes, sums: int, *, full: bool) -> Iterator[tuple[int, Attributes]]:
    """(how many may be taken before, attributes), the most telling first."""
    keys = {key for key, _ in attributes}
    if not full:
        if MODEL_VERSION in keys:
            yield sums - FOR_MODELS, attributes
            attributes = _without(attributes, {MODEL_VERSION})
        yield sums - FOR_METRICS, attributes
        if MODEL_NAME in keys:
            yield sums - FOR_METRICS, _without(attributes, {MODEL_NAME})
    yield 1 << 62, _without(attributes, keys)


def _without(attributes: Attributes, keys: set[str]) -> Attributes:
    return tuple((key, OTHER if key in keys else value) for key, value in attributes)


def _of(metric: Metric, attributes: Attributes) -> tuple[str, int, int]:
    """(whose budget, all of it, the part for sums)."""
    if metric.source is Emitter.PROCESS:
        return "", MAX_SERIES_PROCESS, SUMS_PROCESS
    model = dict(attributes).get(MODEL_NAME, "")
    if BIN in metric.attributes:  # bins are asked for, and cost no other figure its place
        return f"bins {model}", MAX_SERIES_MODEL, 0
    return f"model {model}", MAX_SERIES_MODEL, SUMS_MODEL
