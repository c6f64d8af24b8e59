"""Checks: statements about a model from integers alone. To add one: a file, and a line in ``CHECKS``.

``evaluate`` tells what is wrong at this minute. Drift checks speak once, when the detector alarms; checks with a
level (confidence, quality, collapse) repeat their finding while it holds, so that a worse level is told too.
``resolved`` names what is right again: an incident ends when every name in its ``features`` has been resolved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mlmon_sidecar.checks.collapse import Collapse
from mlmon_sidecar.checks.confidence_drop import ConfidenceDrop
from mlmon_sidecar.checks.context import CheckContext
from mlmon_sidecar.checks.embedding_drift import EmbeddingDrift
from mlmon_sidecar.checks.error_rate import ErrorRate
from mlmon_sidecar.checks.estimate_drop import EstimateDrop
from mlmon_sidecar.checks.feature_drift import FeatureDrift
from mlmon_sidecar.checks.frozen_column import FrozenColumn
from mlmon_sidecar.checks.joint_drift import JointDrift
from mlmon_sidecar.checks.label_drift import LabelDrift
from mlmon_sidecar.checks.latency import Latency
from mlmon_sidecar.checks.near_collapse import NearCollapse
from mlmon_sidecar.checks.new_categories import NewCategories
from mlmon_sidecar.checks.null_rate import NullRate
from mlmon_sidecar.checks.out_of_range import OutOfRange
from mlmon_sidecar.checks.prediction_drift import PredictionDrift
from mlmon_sidecar.checks.quality_drop import QualityDrop
from mlmon_sidecar.checks.schema_change import SchemaChange
from mlmon_sidecar.checks.segment_drift import SegmentDrift
from mlmon_sidecar.checks.throughput_zero import ThroughputZero
from mlmon_sidecar.checks.version_difference import VersionDifference
from mlmon_sidecar.checks.volume import Volume
from mlmon_sidecar.records import Finding, Layer


class ModelCheck(Protocol):
    """One check over ``CheckContext``."""

    name: str
    layer: Layer

    def ready(self, context: CheckContext) -> str:
        """Why it cannot speak yet; "" when it can."""

    def evaluate(self, context: CheckContext) -> list[Finding]:
        """Findings now; empty while not ready. Pure."""

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Names whose condition has ended at this minute."""


CHECKS: Mapping[str, ModelCheck] = {
    check.name: check
    for check in (
        FeatureDrift(), NullRate(), NewCategories(), OutOfRange(), FrozenColumn(), SchemaChange(),
        EmbeddingDrift(), JointDrift(),
        PredictionDrift(), ConfidenceDrop(), NearCollapse(), QualityDrop(), LabelDrift(), EstimateDrop(), Collapse(),
        Latency(), ErrorRate(), Volume(), ThroughputZero(), SegmentDrift(), VersionDifference(),
    )
}  # fmt: skip
