"""A detector's state as text, where it is kept among an evaluation's progress."""

from __future__ import annotations

import base64

from mlmon_sidecar.statistics.detector_state import DetectorState
from mlmon_sidecar.statistics.edetector import Detector


def state_of(detector: Detector, text: str) -> DetectorState:
    """The state in ``text`` where it belongs to this detector; else a new one."""
    state = DetectorState.from_bytes(base64.b64decode(text)) if text else detector.initial()
    return state if detector.accepts(state) else detector.initial()


def text_of(state: DetectorState) -> str:
    return base64.b64encode(state.to_bytes()).decode()
