"""The application's own tracing, of every kind and wherever it is mounted: one prediction, one set of attributes on the
span of its request, and no span of ours."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime_serving import HERE, environment

LIBRARIES = {  # what the program needs, and how many nestings it knows
    "otel": ("opentelemetry.instrumentation.fastapi", 7),
    "native": ("fastapi", 2),
    "logfire": ("logfire", 5),
    "ddtrace": ("ddtrace", 4),
}


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("library", LIBRARIES)
def test_one_prediction_is_on_the_span_of_its_request(library: str, tmp_path: Path) -> None:
    module, nestings = LIBRARIES[library]
    if not installed(module):
        pytest.skip(f"{module} is not installed; the dependency groups test and tracing have it")
    command = [sys.executable, str(HERE / "tracing_program.py"), library, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=environment())
    assert done.returncode == 0, done.stderr
    cases: list[dict[str, Any]] = json.loads(done.stdout)
    if library == "native" and not cases:
        pytest.skip("this FastAPI has no tracing of its own")
    assert len(cases) == nestings
    for case in cases:
        of_request = [span for span in case["spans"] if span["kind"] == "SERVER"]
        assert len(of_request) == 1, "no double span"
        (span,) = of_request
        assert span["ours"] == {"mlmon.prediction.id": case["prediction"], "mlmon.model.name": "default"}, case
        assert case["rows"] == [[case["prediction"], span["trace"], span["span"]]], "the row leads to that span"
        assert [other["name"] for other in case["spans"] if other["ours"]] == [span["name"]], "on that span alone"
        assert all(one["ended"] and one["status"] == "UNSET" for one in case["spans"]), case
        assert {one["trace"] for one in case["spans"]} == {span["trace"]}
        assert case["faults"] == ""
