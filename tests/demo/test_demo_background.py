"""Repeated work tells of a failure once and goes on."""

import threading

from mlmon_sidecar.demo.background import Repeated
from mlmon_sidecar.errors import MlmonError


def test_a_failure_is_told_once_until_it_works_again() -> None:
    failing = iter([True, True, False, True])
    told: list[str] = []

    def work() -> None:
        if next(failing):
            raise MlmonError("no answer", code="status_unavailable")

    repeated = Repeated("test", work, 1.0, told.append)
    counts = []
    for _ in range(4):
        repeated.beat()
        counts.append(len(told))
    assert counts == [1, 1, 1, 2]
    assert told[0] == "  (no answer [status_unavailable])"


def test_it_runs_while_the_context_is_open() -> None:
    ran = threading.Event()
    with Repeated("test", ran.set, 0.001, lambda text: None) as repeated:
        assert ran.wait(10)
    assert not repeated._thread.is_alive()
