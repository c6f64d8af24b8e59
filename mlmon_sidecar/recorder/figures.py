"""What one process served since it started, from the panes it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mlmon_sidecar.records import Measurement, Pane
from mlmon_sidecar.statistics.layout import Layout

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


class Totals:
    """Traffic of each model version. A pane's vector begins with it."""

    def __init__(self, layouts: Mapping[str, Layout]) -> None:
        self._layouts = layouts
        self._vectors: dict[tuple[str, str], IntVector] = {}  # replaced, never written to

    def __len__(self) -> int:
        """Model versions."""
        return len(self._vectors)

    def add(self, pane: Pane) -> None:
        traffic = pane.vector[: self._layouts[pane.key.model].traffic.decoded + 1]
        key = (pane.key.model, pane.key.version)
        known = self._vectors.get(key)
        self._vectors[key] = traffic.copy() if known is None else known + traffic

    def measurements(self) -> Sequence[Measurement]:
        figures: list[Measurement] = []
        for (model, version), vector in self._vectors.copy().items():
            cells = self._layouts[model].traffic
            who = (("mlmon.model.name", model), ("mlmon.model.version", version))
            figures.append(Measurement("mlmon.predictions", int(vector[cells.rows]), who))
            for outcome in ("ok", "client_error", "server_error", "aborted"):
                count = int(vector[getattr(cells, outcome)])
                figures.append(Measurement("mlmon.requests", count, (*who, ("mlmon.request.outcome", outcome))))
        return figures
