"""No asset names what the catalogue does not have, and no figure of the catalogue is on no dashboard.

The names are read back out of the finished files, by their form alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from mlmon_sidecar.assets.fleet import BEFORE, NOW
from mlmon_sidecar.assets.query import How, NotInCatalog, Query
from mlmon_sidecar.assets.writing import ASSETS
from mlmon_sidecar.export.catalog import CATALOG, EVENTS, Kind, Metric
from mlmon_sidecar.export.prometheus import label_name, prometheus_name

PROMETHEUS = re.compile(r"(?<![\w$.])((?:mlmon|process|system|gen_ai|hw)_[a-z0-9_]+)(\{[^}]*\})?")
GROUPED = re.compile(r" (?:by|on|group_left) \(([^)]*)\)")
DATADOG = re.compile(r"(?:sum|max|min|avg|p50|p95|p99):([a-z_.0-9]+)\{([^}]*)\}(?: by \{([^}]*)\})?")
BUILT_IN = {"le"}


def families() -> dict[str, Metric]:
    """Every name a time series of the catalogue can have."""
    found: dict[str, Metric] = {}
    for metric in CATALOG.values():
        name = prometheus_name(metric)
        parts = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {name + part: metric for part in parts}
    return found


def labels(metric: Metric) -> set[str]:
    return {label_name(key) for key in metric.attributes} | BUILT_IN


def check_promql(expr: str) -> int:
    """Names and labels of one expression; how many metrics it names."""
    known = families()
    for name in (NOW, BEFORE):  # rules that stand for a metric
        of = "mlmon_baseline_bin_ratio" if name == BEFORE else "mlmon_feature_bin"
        expr = expr.replace(name, of)
    bare = re.sub(GROUPED, "", expr)
    named = [match.groups() for match in PROMETHEUS.finditer(re.sub(r"\{[^}]*\}", "", bare))]
    allowed: set[str] = set()
    for name, _ in named:
        assert name in known, f"{name} is not in the catalogue: {expr}"
        allowed |= labels(known[name])
    used = {label.strip() for group in GROUPED.findall(expr) for label in group.split(",") if label}
    used |= {part.split("=")[0].rstrip("!~ ").strip() for group in re.findall(r"\{([^}]*)\}", expr)
             for part in group.split(",") if part.strip()}  # fmt: skip
    assert used <= allowed, f"{used - allowed} are no attributes there: {expr}"
    return len(named)


def walk(value: Any, key: str) -> Iterator[str]:
    """Every text under ``key``, however deep."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if name == key and isinstance(member, str):
                yield member
            yield from walk(member, key)
    elif isinstance(value, list):
        for member in value:
            yield from walk(member, key)


def grafana_queries() -> list[str]:
    boards = [json.loads(text) for name, text in ASSETS["grafana"]().items() if name.endswith(".json")]
    targets = [target for board in boards for panel in board["panels"] for target in panel.get("targets", [])]
    return [target["expr"] for target in targets if target["datasource"]["type"] == "prometheus"]


def datadog_queries() -> list[str]:
    return [query for text in ASSETS["datadog"]().values() for query in walk(json.loads(text), "query")]


def test_grafana() -> None:
    queries = grafana_queries()
    assert len(queries) > 50
    for expr in queries:
        assert check_promql(expr.replace("$__rate_interval", "5m")) >= 1
    for text in ASSETS["grafana"]().values():
        for name in re.findall(r"label_values\((\w+), (\w+)\)", text):
            assert name[1] in labels(families()[name[0]])


def test_every_figure_is_on_a_grafana_dashboard() -> None:
    text = "\n".join(grafana_queries())
    assert [m.name for m in CATALOG.values() if not re.search(rf"\b{prometheus_name(m)}(_bucket|_sum)?\b", text)] == []


def test_log_panels_select_attributes_of_events() -> None:
    known = {label_name(key) for event in EVENTS.values() for key in event.attributes}
    boards = [json.loads(text) for name, text in ASSETS["grafana"]().items() if name.endswith(".json")]
    found = [expr for board in boards for expr in walk(board, "expr") if expr.startswith("{service_name")]
    assert len(found) == 2
    for expr in found:
        assert set(re.findall(r"\| (\w+)", expr)) <= known


def test_prometheus_rules() -> None:
    rules = yaml.safe_load(ASSETS["prometheus"]()["mlmon.rules.yml"])
    found = [rule for group in rules["groups"] for rule in group["rules"]]
    assert len(found) > 15
    for rule in found:
        assert check_promql(rule["expr"]) >= 1
    alerts = [rule for rule in found if "alert" in rule]
    assert all(rule["labels"]["severity"] in {"critical", "warning", "info"} for rule in alerts)
    for rule in alerts:
        grouped = {label.strip() for group in GROUPED.findall(rule["expr"]) for label in group.split(",")}
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= grouped


def test_datadog() -> None:
    queries = [query for query in datadog_queries() if "{" in query]
    assert len(queries) > 50
    for query in queries:
        named = DATADOG.findall(query)
        assert named, query
        for name, where, by in named:
            keys = {part.partition(":")[0] for part in where.split(",")} | set(filter(None, by.split(",")))
            assert keys - {"*", "$model"} <= set(CATALOG[name].attributes), query
    streams = [query for query in datadog_queries() if query.startswith("@")]
    assert {query[1:].partition(":")[0] for query in streams} <= {key for e in EVENTS.values() for key in e.attributes}


def test_collector_knows_exactly_the_catalogue() -> None:
    for text in ASSETS["collector"]().values():
        document = yaml.safe_load(text)
        (condition,) = document["processors"]["filter/mlmon"]["metrics"]["metric"]
        names = re.search(r'"\^\((.*)\)\$"', condition)
        assert names is not None
        assert names[1].replace("\\\\.", ".").split("|") == list(CATALOG)
        parts = {name for kind in ("receivers", "processors", "exporters") for name in document[kind]}
        for pipeline in document["service"]["pipelines"].values():
            assert {part for kind in ("receivers", "processors", "exporters") for part in pipeline[kind]} <= parts


@pytest.mark.parametrize(
    "made",
    [
        lambda: Query("mlmon.surprise", How.MAX),
        lambda: Query("mlmon.requests", How.RATE, ("mlmon.feature.name",)),
        lambda: Query("mlmon.requests", How.RATE, (), (("mlmon.customer", "x"),)),
        lambda: Query("mlmon.requests", How.MAX),
        lambda: Query("mlmon.alert.state", How.P95),
        lambda: Query("mlmon.prediction.duration", How.RATE),
    ],
)
def test_a_query_beside_the_catalogue_cannot_be_made(made: Any) -> None:
    with pytest.raises(NotInCatalog):
        made()


@pytest.mark.parametrize(
    "expr",
    [
        "max(mlmon_surprise)",
        "max by (mlmon_customer) (mlmon_alert_state)",
        'sum(rate(mlmon_requests_total{mlmon_feature_name="x"}[5m]))',
        "sum(rate(mlmon_requests[5m]))",
    ],
)
def test_the_check_itself_sees_what_is_wrong(expr: str) -> None:
    with pytest.raises(AssertionError):
        check_promql(expr)
