"""What only the handler knows: features that are not in the body, the prediction itself, the segment."""

from __future__ import annotations

from collections.abc import Mapping

from mlmon_sidecar.capture.exchange_tap import CURRENT
from mlmon_sidecar.records import Annotation


def annotate(
    features: Mapping[str, object] | None = None,
    prediction: object = None,
    confidence: float | None = None,
    segment: str | None = None,
) -> None:
    """Say something about the prediction being made, inside its handler; once for each row of a batch.

    Works in ``async`` handlers and in ordinary ones that a framework runs in threads. Without effect where the request
    is not monitored or its answer has already gone out. Never raises. ``features`` is copied, its values are not.
    """
    tap = None
    try:
        tap = CURRENT.get()
        if tap is not None:
            copied = None if features is None else dict(features)
            tap.annotate(Annotation(copied, prediction, confidence, segment))
    except Exception as error:  # Ours to count, never the handler's to see.
        if tap is not None:
            tap.capture.faults.count("annotate", error)
