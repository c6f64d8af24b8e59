"""From captured exchanges to numbered flushes. ``stages.py`` has the order of the stages."""

from mlmon_sidecar.recorder.recorder import Recorder
from mlmon_sidecar.recorder.stages import RecordedModel

__all__ = ["RecordedModel", "Recorder"]
