"""GPUs by a hand-written NVML; and, where this machine has one, by the real one."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
from fake_nvml import GIB, FakeNvml

from mlmon_sidecar.export.catalog import CATALOG
from mlmon_sidecar.resources.gpu import GpuSource


def read(source: GpuSource) -> dict[tuple[str, str], float]:
    return {(m.name, dict(m.attributes)["hw.id"]): m.value for m in source()}


def test_every_device_tells_what_it_can() -> None:
    found = read(GpuSource(FakeNvml))
    assert found == {
        ("hw.gpu.utilization", "GPU-full"): 0.37,
        ("hw.temperature", "GPU-full"): 61,
        ("hw.power", "GPU-full"): 250.5,
        ("hw.gpu.memory.usage", "GPU-full"): 3 * GIB,
        ("hw.gpu.memory.limit", "GPU-full"): 80 * GIB,
        ("hw.gpu.utilization", "GPU-modest"): 0.37,
        ("hw.gpu.memory.usage", "GPU-modest"): 3 * GIB,
        ("hw.gpu.memory.limit", "GPU-modest"): 80 * GIB,
        ("hw.temperature", "GPU-split"): 61,
        ("hw.power", "GPU-split"): 250.5,
        ("hw.gpu.memory.usage", "MIG-part 2"): 3 * GIB,
        ("hw.gpu.memory.limit", "MIG-part 2"): 10 * GIB,
    }


def test_attributes_are_those_of_the_catalogue() -> None:
    for measurement in GpuSource(FakeNvml)():
        assert {key for key, _ in measurement.attributes} == set(CATALOG[measurement.name].attributes)


@pytest.mark.parametrize("library", [FakeNvml(driver=False), FakeNvml(devices=0)])
def test_without_driver_or_device_it_asks_once(library: FakeNvml) -> None:
    source = GpuSource(lambda: library)
    assert [list(source()) for _ in range(3)] == [[], [], []]
    assert library.begun == 1


def test_without_the_package_it_is_quiet() -> None:
    asked = []

    def load() -> Any:
        asked.append(1)
        raise ModuleNotFoundError("pynvml")

    source = GpuSource(load)
    assert [list(source()) for _ in range(3)] == [[], [], []]
    assert len(asked) == 1


def test_a_device_that_is_lost_costs_itself_alone() -> None:
    class Losing(FakeNvml):
        def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
            if index == 0:
                raise RuntimeError("GPU is lost")
            return super().nvmlDeviceGetHandleByIndex(index)

    assert {who for _, who in read(GpuSource(Losing))} == {"GPU-modest", "GPU-split", "MIG-part 2"}


REAL = """
from mlmon_sidecar.resources.gpu import GpuSource
for m in GpuSource()():
    print(m.name, m.value, dict(m.attributes))
"""


@pytest.mark.skipif(find_spec("pynvml") is None, reason="nvidia-ml-py is not installed")
def test_the_real_library_says_something_sensible_or_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    for line in done.stdout.splitlines():
        name, value, _ = line.split(" ", 2)
        least, most = {"hw.gpu.utilization": (0, 1), "hw.temperature": (1, 120)}.get(name, (0, 1 << 50))
        assert least <= float(value) <= most
