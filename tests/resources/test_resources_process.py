"""The figures are those of the operating system, read another way."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mlmon_sidecar.resources.process import ProcessSource


def read(source: ProcessSource) -> dict[tuple[str, ...], float]:
    return {(m.name, *(value for _, value in m.attributes)): m.value for m in source()}


def test_figures_agree_with_the_kernel() -> None:
    found = read(ProcessSource())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    assert found["process.cpu.time", "user"] == pytest.approx(usage.ru_utime, abs=0.5)
    assert found["process.cpu.time", "system"] == pytest.approx(usage.ru_stime, abs=0.5)
    assert found["process.unix.file_descriptor.count",] == pytest.approx(len(os.listdir("/proc/self/fd")), abs=2)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert found["process.memory.usage",] == pytest.approx(pages * resource.getpagesize(), rel=0.05)


THREADS = """
import threading
from mlmon_sidecar.resources.process import ProcessSource

def count():
    return next(m.value for m in ProcessSource()() if m.name == "process.thread.count")

before, release = count(), threading.Event()
for _ in range(5):
    threading.Thread(target=release.wait).start()
during = count()
release.set()
assert during == before + 5, (before, during)
"""


def test_threads_are_counted() -> None:
    subprocess.run([sys.executable, "-c", THREADS], check=True)


def test_uptime_counts_from_the_process_s_start() -> None:
    start = psutil.Process().create_time()
    assert read(ProcessSource(now_seconds=lambda: start + 90.0))["process.uptime",] == pytest.approx(90.0)
    assert read(ProcessSource(now_seconds=lambda: start - 5.0))["process.uptime",] == 0.0


def test_cpu_time_grows() -> None:
    source = ProcessSource()

    def cpu() -> float:
        return sum(value for key, value in read(source).items() if key[0] == "process.cpu.time")

    before = cpu()
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert cpu() >= before + 0.05


def test_a_figure_the_system_hides_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: psutil.Process) -> int:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "num_fds", denied)
    monkeypatch.delattr(psutil.Process, "num_threads")
    names = {measurement.name for measurement in ProcessSource()()}
    assert names == {"process.cpu.time", "process.memory.usage", "process.uptime"}


FORK = """
import os
from mlmon_sidecar.resources.process import ProcessSource
source = ProcessSource()
source()
if (child := os.fork()) == 0:
    source()
    os._exit(0 if source._process.pid == os.getpid() else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_in_a_fork_the_figures_are_the_child_s() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True)
