"""One curve of a dashboard or condition of an alert, and how Prometheus and Datadog are asked for it.

A query names a metric of the catalogue and its attributes; what the catalogue does not have raises when it is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from mlmon_sidecar.export.catalog import CATALOG, MODEL_NAME, Kind, Metric
from mlmon_sidecar.export.prometheus import label_name, prometheus_name

Pairs = tuple[tuple[str, str], ...]


class How(StrEnum):
    RATE = "rate"  # of a counter, per second
    SUM = "sum"  # over processes, or hubs
    MAX = "max"
    P50 = "p50"  # of a histogram
    P95 = "p95"
    P99 = "p99"
    MEAN = "mean"  # of a histogram
    SHARE = "share"  # of a counter: the part that ``where`` selects


_WANTS = {
    How.RATE: {Kind.COUNTER},
    How.SHARE: {Kind.COUNTER},
    How.SUM: {Kind.GAUGE, Kind.UPDOWN},
    How.MAX: {Kind.GAUGE, Kind.UPDOWN},
}
_QUANTILES = {How.P50: "0.5", How.P95: "0.95", How.P99: "0.99"}


class NotInCatalog(ValueError):
    """A metric, attribute or kind the catalogue does not have."""


@dataclass(frozen=True, slots=True)
class Query:
    metric: str
    how: How
    by: tuple[str, ...] = ()  # attribute keys, one curve for each combination
    where: Pairs = ()  # (attribute key, value)

    def __post_init__(self) -> None:
        unknown = {*self.by, *(key for key, _ in self.where)} - set(self.known.attributes)
        if unknown:
            raise NotInCatalog(f"{self.metric} has no attribute {', '.join(sorted(unknown))}")
        if self.known.kind not in _WANTS.get(self.how, {Kind.HISTOGRAM}):
            raise NotInCatalog(f"{self.metric} is a {self.known.kind}: it has no {self.how}")

    @property
    def known(self) -> Metric:
        if self.metric not in CATALOG:
            raise NotInCatalog(f"there is no metric {self.metric}")
        return CATALOG[self.metric]

    @property
    def of_models(self) -> bool:
        return MODEL_NAME in self.known.attributes

    def bare(self) -> Self:
        """Without what selects."""
        return type(self)(self.metric, self.how, self.by)

    # ------------------------------------------------------------ Prometheus

    def promql(self, window: str, scope: str = "") -> str:
        """``scope``: label matchers put before our own, for metrics that tell models apart."""
        name, where = prometheus_name(self.known), self._matchers(scope)
        by = ", ".join(map(label_name, self.by))
        grouped = f" by ({by})" if by else ""
        if self.how in (How.SUM, How.MAX):
            return f"{self.how}{grouped} ({name}{where})"
        if self.how is How.RATE:
            return f"sum{grouped} (rate({name}{where}[{window}]))"
        if self.how is How.SHARE:
            # A part that never was has no series: then it is none of the whole.
            whole = f"sum{grouped} (rate({name}{self.bare()._matchers(scope)}[{window}]))"
            return f"(sum{grouped} (rate({name}{where}[{window}])) or 0 * {whole}) / ({whole} > 0)"
        if self.how is How.MEAN:
            total, count = (f"sum{grouped} (rate({name}_{part}{where}[{window}]))" for part in ("sum", "count"))
            return f"{total} / ({count} > 0)"
        buckets = ", ".join(("le", *map(label_name, self.by)))
        return f"histogram_quantile({_QUANTILES[self.how]}, sum by ({buckets}) (rate({name}_bucket{where}[{window}])))"

    def _matchers(self, scope: str) -> str:
        own = [f'{label_name(key)}="{value}"' for key, value in self.where]
        matchers = ", ".join([*([scope] if scope and self.of_models else []), *own])
        return f"{{{matchers}}}" if matchers else ""

    # ------------------------------------------------------------ Datadog

    def datadog(self, scope: str = "") -> tuple[str, ...]:
        """Queries ``a``, ``b``, ... for ``datadog_formula``."""
        if self.how is How.SHARE:
            return self._datadog("sum", scope) + ".as_count()", self.bare()._datadog("sum", scope) + ".as_count()"
        if self.how is How.RATE:
            return (self._datadog("sum", scope) + ".as_rate()",)
        return (self._datadog("avg" if self.how is How.MEAN else self.how, scope),)

    @property
    def datadog_formula(self) -> str:
        return "default_zero(a) / b" if self.how is How.SHARE else "a"

    def _datadog(self, function: str, scope: str) -> str:
        selected = [f"{key}:{value}" for key, value in self.where]
        if scope and self.of_models:
            selected.insert(0, scope)
        grouped = f" by {{{','.join(self.by)}}}" if self.by else ""
        return f"{function}:{self.metric}{{{','.join(selected) or '*'}}}{grouped}"
