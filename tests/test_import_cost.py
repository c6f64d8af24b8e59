"""Importing the package must cost a server next to nothing: heavy parts load at start-up, in their own time."""

import json
import os
import statistics
import subprocess
import sys

import pytest

import mlmon_sidecar

LIMIT_SECONDS = 0.060  # of CPU, beyond what starlette itself costs
RUNS = 7
HEAVY = ("numpy", "scipy", "pydantic", "opentelemetry.exporter", "opentelemetry.sdk", "grpc", "apsw", "httpx", "typer")

STATEMENTS = {
    "package": "import mlmon_sidecar",
    "server's names": "from mlmon_sidecar import "
    + ", ".join(["__version__", *({"Monitor", "MonitorMiddleware", "annotate"} & set(mlmon_sidecar.__all__))]),
}

PROGRAM = """
import json, sys, time
import starlette.applications, starlette.requests, starlette.responses
before = time.process_time()
{statement}
print(json.dumps([time.process_time() - before, sorted(sys.modules)]))
"""


def imported(statement: str) -> tuple[float, list[str]]:
    """CPU seconds beyond starlette, and all loaded modules."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", PROGRAM.format(statement=statement)]
    told = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    seconds, modules = json.loads(told)
    return seconds, modules


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_the_import_is_cheap(statement: str) -> None:
    imported(statement)  # compiles
    seconds = statistics.median(imported(statement)[0] for _ in range(RUNS))
    assert seconds < LIMIT_SECONDS


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    _, modules = imported(statement)
    assert "mlmon_sidecar" in modules
    heavy = [name for name in modules if any(name == root or name.startswith(f"{root}.") for root in HEAVY)]
    assert not heavy
