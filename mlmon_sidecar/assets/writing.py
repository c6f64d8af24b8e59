"""Which files each kind of asset is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from mlmon_sidecar.assets import collector, datadog, datasources, prometheus_rules
from mlmon_sidecar.assets.boards import BOARDS

_DASHBOARDS = Path(__file__).parent / "grafana"


def _grafana() -> Mapping[str, str]:
    names = [f"mlmon-{board.key}.json" for board in BOARDS]
    drawn = {f"dashboards/{name}": (_DASHBOARDS / name).read_text(encoding="utf-8") for name in names}
    return {
        **drawn,
        datasources.DASHBOARDS_FILE: datasources.dashboards(),
        datasources.SOURCES_FILE: datasources.sources(),
    }


def _prometheus() -> Mapping[str, str]:
    return {
        prometheus_rules.RULES_FILE: prometheus_rules.rules(),
        prometheus_rules.TESTS_FILE: prometheus_rules.tests(),
    }


def _datadog() -> Mapping[str, str]:
    monitors = {f"{datadog.MONITORS_FOLDER}/{name}": text for name, text in datadog.monitors().items()}
    return {datadog.DASHBOARD_FILE: datadog.dashboard(), **monitors}


def _collector() -> Mapping[str, str]:
    return {collector.GRAFANA_FILE: collector.grafana(), collector.DATADOG_FILE: collector.datadog()}


ASSETS: Mapping[str, Callable[[], Mapping[str, str]]] = {
    "grafana": _grafana,
    "prometheus": _prometheus,
    "datadog": _datadog,
    "collector": _collector,
}
"""Kind to its files: path below the output directory to text."""


def write(kind: str, directory: Path) -> list[Path]:
    """Write the files of a kind, over those that are there. Returns their paths. Raises ``OSError``."""
    written = []
    for name, text in ASSETS[kind]().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
