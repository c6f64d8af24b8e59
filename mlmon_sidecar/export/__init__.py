"""Figures and events to OpenTelemetry."""
