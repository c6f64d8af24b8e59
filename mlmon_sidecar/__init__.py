"""mlmon-sidecar tells you whether your model still gives good answers, not only whether it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmon_sidecar.version import __version__

if TYPE_CHECKING:
    from mlmon_sidecar.capture.annotate import annotate
    from mlmon_sidecar.client import FeedbackClient, Label
    from mlmon_sidecar.resources.loading import model_loading
    from mlmon_sidecar.resources.queues import watch_queue
    from mlmon_sidecar.runtime.baselines import build_baseline
    from mlmon_sidecar.runtime.middleware import MonitorMiddleware
    from mlmon_sidecar.runtime.monitor import Monitor

__all__ = [
    "FeedbackClient",
    "Label",
    "Monitor",
    "MonitorMiddleware",
    "__version__",
    "annotate",
    "build_baseline",
    "model_loading",
    "watch_queue",
]

_HOMES = {
    "FeedbackClient": "mlmon_sidecar.client",
    "Label": "mlmon_sidecar.client",
    "Monitor": "mlmon_sidecar.runtime.monitor",
    "MonitorMiddleware": "mlmon_sidecar.runtime.middleware",
    "annotate": "mlmon_sidecar.capture.annotate",
    "build_baseline": "mlmon_sidecar.runtime.baselines",
    "model_loading": "mlmon_sidecar.resources.loading",
    "watch_queue": "mlmon_sidecar.resources.queues",
}


def __getattr__(name: str) -> Any:
    """Loaded when first asked for: an application that imports us pays for what it uses."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
