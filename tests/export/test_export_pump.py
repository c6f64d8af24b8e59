"""The thread runs when asked, once more when stopped, and never holds who waits for it."""

import threading

from mlmon_sidecar.export.pump import Pump

NEVER = 3600.0
SOON = 20.0


def test_runs_when_asked_and_once_more_at_the_end() -> None:
    events: list[str] = []
    pump = Pump("test", NEVER, lambda: events.append("step"), lambda: events.append("end"))
    pump.start()
    assert pump.wait(pump.ask(), SOON)
    assert pump.wait(pump.ask(), SOON)
    assert pump.wait(pump.stop(), SOON)
    assert pump._thread is not None
    pump._thread.join(SOON)
    assert events == ["step", "step", "step", "end"]


def test_runs_by_itself_every_interval() -> None:
    thrice = threading.Semaphore(0)
    pump = Pump("test", 0.001, thrice.release, lambda: None)
    pump.start()
    assert all(thrice.acquire(timeout=SOON) for _ in range(3))
    pump.stop()


def test_who_waits_for_a_hanging_step_is_let_go() -> None:
    begun, release, steps = threading.Event(), threading.Event(), []

    def hang() -> None:
        steps.append(1)
        begun.set()
        release.wait()

    pump = Pump("test", NEVER, hang, lambda: None)
    pump.start()
    asked = pump.ask()
    assert begun.wait(SOON)
    assert not pump.wait(asked, 0.01)
    assert not pump.wait(pump.stop(), 0.01)
    pump.abandon()
    release.set()
    assert pump._thread is not None
    pump._thread.join(SOON)
    assert not pump._thread.is_alive()
    assert len(steps) == 1, "an abandoned pump takes no last step"
