"""The catalogue under its Prometheus names, and current figures as Prometheus reads them. Imports no OpenTelemetry.

Names: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ - the same that a Prometheus,
Mimir or Collector makes of our OTLP, so that one dashboard fits both ways.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from mlmon_sidecar.export.budget import Attributes
from mlmon_sidecar.export.catalog import CATALOG, Kind, Metric
from mlmon_sidecar.export.figures import Buckets, Figures, Value

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_UNITS = {"s": "seconds", "By": "bytes", "Cel": "celsius", "W": "watts"}
_TYPES = {Kind.COUNTER: "counter", Kind.UPDOWN: "gauge", Kind.GAUGE: "gauge", Kind.HISTOGRAM: "histogram"}
_OTHER = re.compile(r"[^a-zA-Z0-9]+")


def prometheus_name(metric: Metric) -> str:
    """The name of a metric's family; of a histogram without ``_bucket``, ``_sum`` and ``_count``.

    >>> prometheus_name(CATALOG["process.cpu.time"])
    'process_cpu_time_seconds_total'
    """
    words = _OTHER.sub("_", metric.name).split("_")
    unit = _UNITS.get(metric.unit, "")
    if unit and unit not in words:
        words.append(unit)
    if metric.unit == "1" and metric.kind is Kind.GAUGE:
        words = [word for word in words if word != "ratio"] + ["ratio"]
    if metric.kind is Kind.COUNTER:
        words.append("total")
    return "_".join(words)


def label_name(key: str) -> str:
    """
    >>> label_name("mlmon.model.name")
    'mlmon_model_name'
    """
    return _OTHER.sub("_", key)


def exposition(figures: Figures, resource: Mapping[str, str]) -> bytes:
    """One scrape: every family with its help and type, and ``target_info`` with the attributes of the resource."""
    lines = ["# HELP target_info Who reports.", "# TYPE target_info gauge", f"target_info{_labels(resource.items())} 1"]
    for metric in CATALOG.values():
        if series := figures.get(metric.name):
            name = prometheus_name(metric)
            lines += (f"# HELP {name} {_escaped(metric.description)}", f"# TYPE {name} {_TYPES[metric.kind]}")
            for attributes, value in series.items():
                lines += _lines(name, attributes, value)
    return ("\n".join(lines) + "\n").encode()


def _lines(name: str, attributes: Attributes, value: Value) -> Iterator[str]:
    if not isinstance(value, Buckets):
        yield f"{name}{_labels(attributes)} {value!r}"
        return
    so_far = 0
    for bound, count in zip((*map(repr, value.bounds), "+Inf"), value.counts, strict=True):
        so_far += count
        yield f"{name}_bucket{_labels((*attributes, ('le', bound)))} {so_far}"
    yield f"{name}_sum{_labels(attributes)} {value.total!r}"
    yield f"{name}_count{_labels(attributes)} {so_far}"


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    text = ",".join(f'{label_name(key)}="{_escaped(value, quotes=True)}"' for key, value in pairs)
    return f"{{{text}}}" if text else ""


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
