"""Where the CPU of a process goes: each thread's clock, divided among the stages by samples of its stack."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections import Counter, defaultdict
from types import FrameType

EVERY_SECONDS = 0.0005
SWITCH_SECONDS = 0.00005  # or a sampler sees other threads only where they let go by themselves
PACKAGE = "/mlmon_sidecar/"
WAITING = frozenset({"wait", "_wait_for_tstate_lock", "select", "accept", "poll"})
SLEEPING = "time.sleep("  # is no frame of Python's: the line of the frame that calls it says so


class Profile:
    """``with Profile() as profile: work()``; then ``by_stage`` in microseconds of CPU."""

    def __init__(self) -> None:
        self._samples: dict[int, Counter[str]] = defaultdict(Counter)
        self._spent: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._stopping = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="profile", daemon=True)

    def __enter__(self) -> Profile:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._before = _clocks()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._sampler.join()
        sys.setswitchinterval(self._interval)
        for thread, spent in _clocks().items():
            self._spent[thread] = (spent - self._before.get(thread, 0.0)) * 1e6
        self._names = {t.ident: t.name for t in threading.enumerate() if t.ident is not None}

    def by_stage(self) -> dict[str, float]:
        """Thread and stage to microseconds. The sampler's own time stands outside."""
        found: dict[str, float] = {}
        for thread, spent in self._spent.items():
            name = self._names.get(thread, "ended")
            if name == "MainThread":
                found["event loop with application"] = spent
                continue
            samples = self._samples[thread]
            for stage, count in samples.items():
                found[f"{name}: {stage}"] = spent * count / samples.total()
            if not samples:
                found[f"{name}: not sampled"] = spent
        return dict(sorted(found.items(), key=lambda pair: -pair[1]))

    def _sample(self) -> None:
        own = threading.get_ident()
        while not self._stopping.is_set():
            for thread, frame in sys._current_frames().items():
                if thread != own and not _waits(frame):
                    self._samples[thread][_stage(frame)] += 1
            time.sleep(EVERY_SECONDS)


def _waits(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name in WAITING or SLEEPING in linecache.getline(code.co_filename, frame.f_lineno or 0)


def _stage(frame: FrameType | None) -> str:
    """The innermost folder of ours on the stack."""
    while frame is not None:
        _, found, rest = frame.f_code.co_filename.rpartition(PACKAGE)
        if found:
            return rest.partition("/")[0].removesuffix(".py")
        frame = frame.f_back
    return "other"


def _clocks() -> dict[int, float]:
    idents = [thread.ident for thread in threading.enumerate() if thread.ident is not None]
    return {ident: time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in idents}
