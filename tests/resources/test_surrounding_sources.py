"""Loading, queues, active requests, collections and loop lag, each against what was really done."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from types import SimpleNamespace

import pytest

from mlmon_sidecar import model_loading, watch_queue
from mlmon_sidecar.records import Distribution
from mlmon_sidecar.resources import loading, queues
from mlmon_sidecar.resources.active import ActiveSource
from mlmon_sidecar.resources.histogram import Histogram
from mlmon_sidecar.resources.loading import LoadingSource
from mlmon_sidecar.resources.pauses import GcPauses, LoopLag
from mlmon_sidecar.resources.queues import QueueSource
from mlmon_sidecar.telemetry import Telemetry


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_loaded", {})
    monkeypatch.setattr(queues, "_queues", {})


def test_a_bucket_holds_its_upper_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.0, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert histogram.distribution("n") == Distribution("n", (1.0, 2.0), (2, 2, 1), pytest.approx(6.6), ())


def test_what_the_application_measured_wins_over_its_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_loaded", {"fraud": 3.5})
    found = {dict(m.attributes)["mlmon.model.name"]: m.value for m in LoadingSource(["fraud", "churn"], 7.0)()}
    assert found == {"fraud": 3.5, "churn": 7.0}
    assert [m.value for m in LoadingSource(["fraud", "churn"], None)()] == [3.5], "no lifespan, nothing to say"


def test_the_block_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([10.0, 13.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    with model_loading("fraud"):
        pass
    assert loading._loaded == {"fraud": 3.5}


def test_a_load_that_fails_is_no_load() -> None:
    with pytest.raises(LookupError), model_loading("fraud"):
        raise LookupError("theirs")
    assert loading._loaded == {}


def test_queues_are_asked_each_time_and_a_broken_one_costs_itself() -> None:
    waiting: list[int] = []
    watch_queue("requests", lambda: len(waiting))
    watch_queue("broken", lambda: 1 // 0)
    telemetry = Telemetry()
    source = QueueSource(telemetry)
    assert [m.value for m in source()] == [0]
    waiting += [1, 2, 3]
    ((name, value, attributes),) = source()
    assert (name, value, attributes) == ("mlmon.queue.depth", 3, (("mlmon.queue.name", "requests"),))
    assert telemetry.snapshot() == {"errors.queue_depth.ZeroDivisionError": 2}


def test_active_requests_of_each_model() -> None:
    requests = [SimpleNamespace(model=model) for model in ("fraud", "fraud", "churn")]
    source = ActiveSource(("fraud", "churn", "idle"), requests)
    assert [m.value for m in source()] == [2, 1, 0]
    requests.clear()
    assert [m.value for m in source()] == [0, 0, 0]


def test_each_collection_is_timed_until_the_end() -> None:
    moments = iter([1.0, 1.02, 5.0, 5.0005])
    pauses = GcPauses(now=lambda: next(moments))
    gc.disable()
    try:
        pauses.start()
        gc.collect()
        gc.collect()
        pauses.stop()
        gc.collect()
    finally:
        gc.enable()
    (found,) = pauses()
    assert (sum(found.counts), found.total) == (2, pytest.approx(0.0205))
    assert found.counts[found.bounds.index(0.025)] == 1 and found.counts[found.bounds.index(0.001)] == 1


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a fork beside threads warns there; the hook is the same")
def test_a_forked_child_is_not_counted_by_its_parent_s_hook() -> None:
    pauses = GcPauses()
    pauses.start()
    child = os.fork()
    if child == 0:
        os._exit(0 if pauses._observe not in gc.callbacks else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert pauses._observe in gc.callbacks
    pauses.stop()


def test_a_loop_that_is_blocked_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loop:
        """The calls that are made of a loop, with a clock in hand."""

        now = 100.0
        waiting: tuple[float, object, float] | None = None

        def time(self) -> float:
            return self.now

        def call_soon_threadsafe(self, call: object) -> None:
            call()  # type: ignore[operator]

        def call_later(self, seconds: float, call: object, due: float) -> None:
            self.waiting = (self.now + seconds, call, due)

        def run(self, *, late: float) -> None:
            assert self.waiting is not None
            when, call, due = self.waiting
            self.waiting, self.now = None, when + late
            call(due)  # type: ignore[operator]

    loop = Loop()
    lag = LoopLag(loop)  # type: ignore[arg-type]
    lag.start()
    loop.run(late=0.0)
    loop.run(late=0.3)
    (found,) = lag()
    assert (sum(found.counts), found.total) == (2, pytest.approx(0.3))
    assert found.counts[found.bounds.index(0.5)] == 1
    lag.stop()
    loop.run(late=9.0)
    assert sum(lag()[0].counts) == 2 and loop.waiting is None


def test_a_real_loop_is_watched_and_let_go() -> None:
    async def serve() -> int:
        lag = LoopLag(asyncio.get_running_loop())
        lag.start()
        while not sum(lag()[0].counts):  # noqa: ASYNC110 - the lag tells nobody
            await asyncio.sleep(0.01)
        return sum(lag()[0].counts)

    assert asyncio.run(serve()) == 1
    loop = asyncio.new_event_loop()
    loop.close()
    LoopLag(loop).start()  # too late: no error
