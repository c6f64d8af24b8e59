"""The story is played once, for all that look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from story_run import Prometheus, Told, free_port, run_story

SETTINGS = {"MLMON_EXPORT__PROMETHEUS": "true", "MLMON_EXPORT__BINS": "true"}


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Told, Prometheus | None]]:
    """The run, and the Prometheus that watched it where this machine has one."""
    directory, port = tmp_path_factory.mktemp("story"), free_port()
    if shutil.which("prometheus") is None:
        yield run_story(directory, port, dict(os.environ)), None
        return
    prometheus = Prometheus(directory / "prometheus", port, directory / "token")
    try:
        yield run_story(directory, port, os.environ | SETTINGS), prometheus
    finally:
        prometheus.close()


@pytest.fixture(scope="session")
def told(story: tuple[Told, Prometheus | None]) -> Told:
    return story[0]


@pytest.fixture(scope="session")
def prometheus(story: tuple[Told, Prometheus | None]) -> Prometheus:
    if story[1] is None:
        pytest.skip("there is no prometheus on this machine")
    return story[1]
