"""mlmon-sidecar tells you whether your model still gives good answers, not only whether it answers."""

from mlmon_sidecar.version import __version__

__all__ = ["__version__"]
