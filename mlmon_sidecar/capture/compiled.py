"""Which tap this process takes: the compiled one where it was built, or pure Python."""

from __future__ import annotations

import os
from types import ModuleType

PURE = "MLMON_PURE_PYTHON"  # set to anything but "" or "0": the compiled tap is left alone


def _load() -> ModuleType | None:
    if os.environ.get(PURE, "0") not in ("", "0"):
        return None
    try:
        from mlmon_sidecar.capture import _tap
    except ImportError:  # built without a compiler, or for another interpreter
        return None
    return _tap


tap = _load()


def implementation() -> str:
    """What ``mlmon doctor`` says."""
    return "pure Python" if tap is None else "compiled"
