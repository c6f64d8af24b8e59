"""How long the recorder holds the interpreter at once: ``python benchmarks/gil.py``.

The recorder runs as in a server: its own thread, exchanges of 16 rows x 50 features at 300 a second, a flush a second
(as bytes; no hub is here). A probe thread sleeps for a twentieth of a millisecond, over and over, and measures how much
later than it asked it goes on: a thread that wakes needs the interpreter, and waits for whoever holds it. The switch
interval is raised far above every hold, so that nobody is made to let go early and every hold is seen to its end.

What it sees: a hold that begins while the probe sleeps, which is nearly all of them, short by what was left of the
sleep; so every hold longer than a tick shows, a tick too short at most. What else delays a thread (another process on
the same core, a timer that is late) shows as well: the same probe without the recorder says how much that is. Holds are
those delays that are longer than the probe's own median tick; fewer than the recorder's steps show when many are
shorter.

On a machine that others use too, a hold that is interrupted from outside looks long. So the recorder's processor time
from one rest to the next is told as well: it holds the interpreter for no more than that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time

from recorded_traffic import MODEL, OPTIONS, REDACTOR, baseline_of, exchanges_of
from recording import BytesHub

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.recorder import RecordedModel, Recorder
from mlmon_sidecar.recorder import recorder as its_module
from mlmon_sidecar.records import Exchange
from mlmon_sidecar.telemetry import Telemetry

TICK_SECONDS = 50e-6
SWITCH_SECONDS = 1.0
EDGE_MS = 0.15  # shorter delays are the sleep's own


class Probe:
    """Delays of a thread that wants to go on all the time."""

    def __init__(self) -> None:
        self.delays: list[float] = []  # ms
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        sleep, now, note = time.sleep, time.perf_counter, self.delays.append
        while not self._ending.is_set():
            begun = now()
            sleep(TICK_SECONDS)
            note(1000 * (now() - begun - TICK_SECONDS))


class Rests(threading.Event):
    """Stands where the recorder rests (``time.sleep``, and the event that it waits for), and notes how much processor
    time it took since it last did."""

    def __init__(self) -> None:
        super().__init__()
        self.worked: list[float] = []  # ms
        self._went_on = 0

    def sleep(self, seconds: float) -> None:
        self._note()
        time.sleep(seconds)
        self._went_on = time.thread_time_ns()

    def wait(self, timeout: float | None = None) -> bool:
        self._note()
        ended = super().wait(timeout)
        self._went_on = time.thread_time_ns()
        return ended

    def _note(self) -> None:
        self.worked.append((time.thread_time_ns() - self._went_on) / 1e6)

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


def feed(handoff: Handoff | None, exchanges: list[Exchange], rate: float, seconds: float) -> None:
    """As the event loop does, from this thread."""
    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        wait = begun + number / rate - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        if handoff is not None:
            handoff.put(tuple(exchanges[number % len(exchanges)]))


def tell(name: str, delays: list[float], seconds: float) -> None:
    held = [delay for delay in delays if delay > EDGE_MS]
    cuts = statistics.quantiles(held, n=1000) if len(held) > 1 else [0.0] * 999
    print(
        f"{name:<17} {len(delays) / seconds:7,.0f} ticks/s  {len(held) / seconds:6,.0f} holds/s"
        f"   hold ms: p50 {cuts[499]:.2f}  p99 {cuts[989]:.2f}  p99.9 {cuts[998]:.2f}  max {max(delays):.2f}"
        f"   {sum(held) / seconds / 10:4.1f}% of the time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=300.0, help="exchanges a second")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--features", type=int, default=50)
    parser.add_argument("--core", type=int, default=0, help="the one everything here runs on")
    said = parser.parse_args()
    os.sched_setaffinity(0, {said.core})
    sys.setswitchinterval(SWITCH_SECONDS)
    layout, exchanges = baseline_of(said.features).layout, exchanges_of(64, said.rows, said.features)
    print(f"{said.rate:g} exchanges a second of {said.rows} rows x {said.features} features, all on core {said.core}")
    with Probe() as alone:
        feed(None, exchanges, said.rate, said.seconds / 2)
    tell("without recorder", alone.delays, said.seconds / 2)
    handoff, telemetry = Handoff(), Telemetry()
    models = {MODEL: RecordedModel(OPTIONS, layout, REDACTOR)}
    recorder = Recorder(models, handoff, BytesHub(), SystemClock(), telemetry)
    rests = Rests()
    its_module.time = recorder._stopping = rests  # type: ignore[assignment]
    recorder.start()
    feed(handoff, exchanges, said.rate, 2.0)  # until it knows how much fits into a step
    rests.worked.clear()
    with Probe() as probe:
        feed(handoff, exchanges, said.rate, said.seconds)
    worked = [ms for ms in rests.worked if ms > EDGE_MS]
    recorder.stop()
    tell("with recorder", probe.delays, said.seconds)
    cuts = statistics.quantiles(worked, n=1000)
    print(
        f"recorder's own processor time from one rest to the next, {len(worked) / said.seconds:,.0f} a second"
        f"   ms: p50 {cuts[499]:.2f}  p99 {cuts[989]:.2f}  p99.9 {cuts[998]:.2f}  max {max(worked):.2f}"
    )
    counts = telemetry.snapshot()
    print(f"rows recorded {counts['rows.decoded']:,} of {int(said.rate * (said.seconds + 2)) * said.rows:,}")


if __name__ == "__main__":
    main()
