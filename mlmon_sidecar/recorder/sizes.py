"""Rows of each request: a server that is sent larger batches slows down without a fault of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from mlmon_sidecar.records import Distribution, PredictionBatch
from mlmon_sidecar.resources.histogram import Histogram

BATCH_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0)  # rows


class BatchSizes:
    """Cumulative since the process started. Written by the recorder's thread, read by the exporter's."""

    def __init__(self) -> None:
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def add(self, batches: Iterable[PredictionBatch]) -> None:
        """Batches of one step: all rows of an exchange are in them."""
        found: Counter[tuple[str, str, str]] = Counter()
        for batch in batches:
            several = [name.partition("/")[0] for name in batch.prediction_ids if "/" in name]
            found.update((batch.model, batch.version, name) for name in several)
            if alone := len(batch.prediction_ids) - len(several):
                self._histogram(batch.model, batch.version).observe(1, alone)
        for (model, version, _), rows in found.items():
            self._histogram(model, version).observe(rows)

    def _histogram(self, model: str, version: str) -> Histogram:
        histogram = self._histograms.get((model, version))
        if histogram is None:
            histogram = self._histograms[model, version] = Histogram(BATCH_BOUNDS)
        return histogram

    def measurements(self) -> Sequence[Distribution]:
        return [
            histogram.distribution("mlmon.batch.size", (("mlmon.model.name", model), ("mlmon.model.version", version)))
            for (model, version), histogram in tuple(self._histograms.items())
        ]
