"""Figures and events to OpenTelemetry.

``catalog`` and ``options`` load nothing heavy. Everything that imports OpenTelemetry is reached through ``otel``, which
the runtime imports at start-up and nobody imports at ``import mlmon_sidecar``.
"""
