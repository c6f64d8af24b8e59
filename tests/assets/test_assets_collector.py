"""The Collector's configurations: by a Collector where one is installed, and by its components' documented keys."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlmon_sidecar.assets.writing import ASSETS

FILES = sorted(ASSETS["collector"]())
ANY = "any value"

# The ``mapstructure`` keys of each component's ``config.go`` in opentelemetry-collector and -contrib, v0.135, as far as
# they can be set without another component.
DOCUMENTED: Mapping[str, Any] = {
    "otlp": {"protocols": {"grpc": {"endpoint": ANY, "tls": ANY}, "http": {"endpoint": ANY, "tls": ANY}}},
    "memory_limiter": dict.fromkeys(
        ("check_interval", "limit_mib", "spike_limit_mib", "limit_percentage", "spike_limit_percentage"), ANY
    ),
    "filter": {
        "error_mode": ANY,
        "metrics": {"metric": ANY, "datapoint": ANY},
        "logs": {"log_record": ANY},
        "traces": {"span": ANY, "spanevent": ANY},
    },
    "batch": dict.fromkeys(
        ("timeout", "send_batch_size", "send_batch_max_size", "metadata_keys", "metadata_cardinality_limit"), ANY
    ),
    "cumulativetodelta": dict.fromkeys(("max_staleness", "include", "exclude", "initial_value"), ANY),
    "prometheusremotewrite": {
        "endpoint": ANY, "tls": ANY, "headers": ANY, "namespace": ANY, "external_labels": ANY,
        "remote_write_queue": ANY, "add_metric_suffixes": ANY, "send_metadata": ANY, "max_batch_size_bytes": ANY,
        "resource_to_telemetry_conversion": {"enabled": ANY}, "target_info": {"enabled": ANY}, "wal": ANY,
    },
    "otlphttp": dict.fromkeys(("endpoint", "headers", "compression", "encoding", "timeout", "tls"), ANY),
    "datadog": {
        "api": {"site": ANY, "key": ANY, "fail_on_invalid_key": ANY},
        "metrics": {"histograms": {"mode": ANY, "send_aggregation_metrics": ANY}, "sums": ANY, "endpoint": ANY},
        "traces": ANY, "logs": ANY, "host_metadata": ANY, "hostname": ANY,
    },
}  # fmt: skip


def document(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(ASSETS["collector"]()[file])
    return found


def strange(given: Any, known: Any, path: str) -> Iterator[str]:
    """Keys that are not among the known ones, however deep."""
    if known is ANY or not isinstance(given, Mapping):
        return
    for key, value in given.items():
        if key in known:
            yield from strange(value, known[key], f"{path}.{key}")
        else:
            yield f"{path}.{key}"


@pytest.mark.parametrize("file", FILES)
def test_every_key_is_one_its_component_has(file: str) -> None:
    made = document(file)
    assert set(made) == {"receivers", "processors", "exporters", "service"}
    for kind in ("receivers", "processors", "exporters"):
        for name, settings in made[kind].items():
            component = name.partition("/")[0]
            assert component in DOCUMENTED, name
            assert list(strange(settings, DOCUMENTED[component], name)) == []


def test_the_check_itself_sees_a_strange_key() -> None:
    wrong = {"send_batch_size": 1, "sendbatch": 2}
    assert list(strange(wrong, DOCUMENTED["batch"], "batch")) == ["batch.sendbatch"]
    deep = {"metrics": {"histograms": {"modus": "x"}}}
    assert list(strange(deep, DOCUMENTED["datadog"], "datadog")) == ["datadog.metrics.histograms.modus"]


@pytest.mark.parametrize("file", FILES)
def test_pipelines_are_whole_and_in_order(file: str) -> None:
    made = document(file)
    pipelines = made["service"]["pipelines"]
    assert set(pipelines) == {"metrics", "logs", "traces"}
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in pipelines.values():
        assert pipeline["processors"][0] == "memory_limiter" and pipeline["processors"][-1] == "batch"
        for kind, names in used.items():
            assert pipeline[kind] and set(pipeline[kind]) <= set(made[kind])
            names |= set(pipeline[kind])
    assert used == {kind: set(made[kind]) for kind in used}, "nothing is defined and not used"
    metrics = pipelines["metrics"]["processors"]
    assert ("cumulativetodelta" in metrics) == ("datadog" in pipelines["metrics"]["exporters"])
    assert made["processors"]["batch"]["send_batch_max_size"] >= made["processors"]["batch"]["send_batch_size"]


@pytest.mark.parametrize("file", FILES)
def test_endpoints_and_keys_come_from_the_environment(file: str) -> None:
    texts = re.findall(r"^\s+(?:endpoint|key|site): (.*)$", ASSETS["collector"]()[file], flags=re.MULTILINE)
    ours = [text for text in texts if "127.0.0.1" not in text]
    assert ours and all(re.fullmatch(r'"?\$\{env:[A-Z_]+\}"?', text) for text in ours)


@pytest.mark.parametrize("file", FILES)
def test_a_collector_takes_it(file: str, tmp_path: Path) -> None:
    program = shutil.which("otelcol-contrib")
    if program is None:
        pytest.skip("no otelcol-contrib on the path")
    path = tmp_path / file
    path.write_text(ASSETS["collector"]()[file])
    names = set(re.findall(r"\$\{env:([A-Z_]+)\}", path.read_text()))
    given = {name: "http://127.0.0.1:9/x" if name.endswith("_URL") else "x" * 32 for name in names}
    command = [program, "validate", "--config", str(path)]
    environ = os.environ | given
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
