"""A test that is skipped for want of a system program says so; in CI, where it must have run, it fails.

Generated examples have no deadline: how fast a machine with other work draws and runs them says nothing about the code.
"""

import importlib.util
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from postgres_server import Server, programs

settings.register_profile("busy_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy_machine")

SYSTEM_PROGRAMS = ("chromium", "prometheus", "promtool", "postgresql")  # what scripts/system-packages installs


def wants_program(reason: str) -> bool:
    return any(program in reason.lower() for program in SYSTEM_PROGRAMS)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if wants_program(reason):
            report.outcome = "failed"
            report.longrepr = f"{reason}\nIn CI a test may not be skipped for want of a program."
    return report


@pytest.fixture(scope="session")
def database() -> Iterator[Server]:
    """A PostgreSQL that forgets what it is killed over."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg, the driver of PostgreSQL, is not installed")
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with Server() as server:
        yield server


@pytest.fixture
def postgres(database: Server) -> str:
    """The URL of a store without tables."""
    return database.emptied()
