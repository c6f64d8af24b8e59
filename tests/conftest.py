"""A test that is skipped for want of a system program says so; in CI, where it must have run, it fails.

Generated examples have no deadline: how fast a machine with other work draws and runs them says nothing about the code.
"""

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("busy_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy_machine")

SYSTEM_PROGRAMS = ("chromium", "prometheus", "promtool")  # what scripts/system-packages installs


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
