"""Figures as the bytes of one OTLP request, for who wants to know how many they are."""

from __future__ import annotations

import time

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from mlmon_sidecar.export.figures import Figures
from mlmon_sidecar.export.memory import Memory
from mlmon_sidecar.export.options import CUMULATIVE
from mlmon_sidecar.export.otel_metrics import MetricsBuilder
from mlmon_sidecar.version import __version__


def encoded(figures: Figures) -> bytes:
    """As an exporter puts them on the wire, uncompressed."""
    now = time.time_ns()
    scope = InstrumentationScope("mlmon_sidecar", __version__)
    builder = MetricsBuilder(Resource.create({}), scope, Memory(now), CUMULATIVE)
    body: bytes = encode_metrics(builder.build(figures, now)).SerializeToString()
    return body
