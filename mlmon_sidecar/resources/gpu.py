"""GPUs, as NVML tells of them (extra ``gpu``), under the names of the semantic conventions for hardware.

https://docs.nvidia.com/deploy/nvml-api/ and https://opentelemetry.io/docs/specs/semconv/hardware/gpu/. Of a device
that is split by MIG, memory is of each instance, temperature and power are of the whole, and NVML knows no utilisation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

from mlmon_sidecar.records import Measurement

Attributes = tuple[tuple[str, str], ...]

_MIG_ON = 1
_GPU_SENSOR = 0  # NVML_TEMPERATURE_GPU
_MILLIWATT = 1e-3


def _nvml() -> Any:
    return import_module("pynvml")


class GpuSource:
    """Every device NVML shows, whoever uses it. Without the package, a driver or a device: nothing, for good."""

    def __init__(self, load: Callable[[], Any] = _nvml) -> None:
        self._load = load
        self._library: Any = None
        self._pid = -1  # NVML does not outlive a fork

    def __call__(self) -> Sequence[Measurement]:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._library = self._begun()
        return [] if self._library is None else list(self._devices())

    def _begun(self) -> Any:
        try:
            library = self._load()
            library.nvmlInit()
            return library if library.nvmlDeviceGetCount() else None
        except Exception:  # ImportError, or an NVMLError of a class that only the package knows: most hosts have no GPU
            return None

    def _devices(self) -> Iterator[Measurement]:
        library = self._library
        for index in range(library.nvmlDeviceGetCount()):
            found = self._asked("nvmlDeviceGetHandleByIndex", index)
            if found is None:  # fell off the bus
                continue
            who = self._who(found)
            yield from self._whole(found, who)
            parts = list(self._instances(found))
            for device in parts or [found]:
                yield from self._memory(device, self._who(device))

    def _instances(self, device: Any) -> Iterator[Any]:
        mode = self._asked("nvmlDeviceGetMigMode", device)  # None: a device that knows no MIG
        if mode is not None and mode[0] == _MIG_ON:
            for index in range(self._asked("nvmlDeviceGetMaxMigDeviceCount", device) or 0):
                instance = self._asked("nvmlDeviceGetMigDeviceHandleByIndex", device, index)
                if instance is not None:  # places need not be taken
                    yield instance

    def _whole(self, device: Any, who: Attributes) -> Iterator[Measurement]:
        used = self._asked("nvmlDeviceGetUtilizationRates", device)
        if used is not None:
            yield Measurement("hw.gpu.utilization", used.gpu / 100, who)
        typed = (*who, ("hw.type", "gpu"))
        celsius = self._asked("nvmlDeviceGetTemperature", device, _GPU_SENSOR)
        if celsius is not None:
            yield Measurement("hw.temperature", celsius, typed)
        milliwatts = self._asked("nvmlDeviceGetPowerUsage", device)
        if milliwatts is not None:
            yield Measurement("hw.power", milliwatts * _MILLIWATT, typed)

    def _memory(self, device: Any, who: Attributes) -> Iterator[Measurement]:
        memory = self._asked("nvmlDeviceGetMemoryInfo", device)
        if memory is not None:
            yield Measurement("hw.gpu.memory.usage", memory.used, who)
            yield Measurement("hw.gpu.memory.limit", memory.total, who)

    def _who(self, device: Any) -> Attributes:
        named = (("hw.id", "nvmlDeviceGetUUID"), ("hw.name", "nvmlDeviceGetName"))
        said = ((key, self._asked(call, device)) for key, call in named)
        return tuple((key, _text(value)) for key, value in said if value is not None)

    def _asked(self, call: str, *arguments: Any) -> Any:
        """None: this device or driver does not tell."""
        try:
            return getattr(self._library, call)(*arguments)
        except Exception:  # NVMLError_NotSupported and its like; AttributeError: an older package
            return None


def _text(value: str | bytes) -> str:
    """Older packages give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
