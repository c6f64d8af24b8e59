"""From captured exchanges to numbered flushes. ``recorder.py`` has the order of the stages."""

from mlmon_sidecar.recorder.recorder import RecordedModel, Recorder

__all__ = ["RecordedModel", "Recorder"]
