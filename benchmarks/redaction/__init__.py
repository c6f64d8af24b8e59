"""Redaction beside its peers on one generated set: ``python -m benchmarks.redaction``."""
