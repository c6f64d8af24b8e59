"""NVML as its documentation describes it (https://docs.nvidia.com/deploy/nvml-api/), written by hand: no recording.

Three devices: one that tells everything, one whose board tells neither temperature nor power, one split by MIG into
places of which one is taken. Calls and structures are those that ``pynvml`` passes on.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

GIB = 1 << 30


class NVMLError(Exception):
    """``pynvml.NVMLError``: of a driver that is not there, or a question a device does not answer."""


class FakeNvml:
    def __init__(self, *, driver: bool = True, devices: int = 3) -> None:
        self.driver, self.devices = driver, devices
        self.begun = 0

    def nvmlInit(self) -> None:
        self.begun += 1
        if not self.driver:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return self.devices

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return ("full", "modest", "split")[index]

    def nvmlDeviceGetUUID(self, device: str) -> str | bytes:
        return b"GPU-modest" if device == "modest" else f"MIG-{device}" if "part" in device else f"GPU-{device}"

    def nvmlDeviceGetName(self, device: str) -> str:
        return "Model of " + device

    def nvmlDeviceGetUtilizationRates(self, device: str) -> Any:
        if device == "split":
            raise NVMLError("Not Supported")  # where MIG is on
        return SimpleNamespace(gpu=37, memory=12)  # percent

    def nvmlDeviceGetTemperature(self, device: str, sensor: int) -> int:
        assert sensor == 0
        if device == "modest":
            raise NVMLError("Not Supported")
        return 61

    def nvmlDeviceGetPowerUsage(self, device: str) -> int:
        if device == "modest":
            raise NVMLError("Not Supported")
        return 250_500  # mW

    def nvmlDeviceGetMemoryInfo(self, device: str) -> Any:
        return SimpleNamespace(total=10 * GIB if "part" in device else 80 * GIB, used=3 * GIB, free=0)

    def nvmlDeviceGetMigMode(self, device: str) -> list[int]:
        if device == "modest":
            raise NVMLError("Not Supported")
        return [int(device == "split"), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: str) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: str, index: int) -> str:
        if index != 2:
            raise NVMLError("Not Found")
        return "part 2"
