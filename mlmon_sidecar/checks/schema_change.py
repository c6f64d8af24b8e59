"""A column has gone, or has become another type: none of more than a hundred rows has a usable value of it. P2.

Single rows that break the schema are counted where they are decoded (``mlmon.schema.violations``); this is the column
as a whole, judged from the fleet's counts. The run must be improbable: ``requests * -ln p >= 16``, p the reference
share of rows without a usable value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmon_sidecar.checks.context import CheckContext, requests_in
from mlmon_sidecar.checks.level import IMPROBABLE_NATS, level_windows, nats, value_counts, warming_up
from mlmon_sidecar.checks.wording import percent, together
from mlmon_sidecar.records import Finding, Layer, Tier

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector, Window
    from mlmon_sidecar.statistics.layout import Layout

GONE, RETYPED = "gone", "another_type"
CLAUSES = {GONE: "{} is missing in all of the last {:,} rows", RETYPED: "{} has another type in the last {:,} rows"}


class SchemaChange:
    name = "schema_change"
    layer = Layer.DATA

    def ready(self, context: CheckContext) -> str:
        if context.reference is None:
            return "no baseline"
        return warming_up(context)

    def evaluate(self, context: CheckContext) -> list[Finding]:
        """Repeated while it holds."""
        if context.reference is None:
            return []
        found: dict[str, dict[str, Any]] = {}
        for window in level_windows(context):
            for name in unusable_columns(context.layout, window.vector):
                if name not in found:
                    told = _told(context.layout, name, context.reference.vector, window)
                    if told["nats"] >= IMPROBABLE_NATS:
                        found[name] = told
        if not found:
            return []
        clauses = [CLAUSES[details["kind"]].format(name, details["rows"]) for name, details in found.items()]
        before = max(details["reference"] for details in found.values())
        return [
            Finding(
                rule=self.name,
                layer=self.layer,
                tier=Tier.P2,
                minute=context.minute,
                summary=f"{together(clauses)}, was {percent(before)}",
                evidence=max(details["nats"] for details in found.values()) / IMPROBABLE_NATS,
                features=tuple(found),
                value=1.0,
                threshold=1.0,
                rows=max(details["rows"] for details in found.values()),
                details={"features": found},
            )
        ]

    def resolved(self, context: CheckContext) -> tuple[str, ...]:
        """Columns with a usable value among the newest hundred rows."""
        if context.reference is None:
            return ()
        window = next(level_windows(context), None)
        if window is None:
            return ()
        unusable = set(unusable_columns(context.layout, window.vector))
        return tuple(name for name in context.layout.cells if name not in unusable)


def unusable_columns(layout: Layout, vector: IntVector) -> list[str]:
    """Columns without a single usable value."""
    rows, _ = value_counts(layout, vector)
    return [name for name, count in zip(layout.cells, rows.tolist(), strict=True) if not count]


def _told(layout: Layout, name: str, reference: IntVector, window: Window) -> dict[str, Any]:
    cells, rows = layout.cells[name], int(window.vector[layout.traffic.rows])
    usable = int(reference[cells.bins].sum())
    missing = int(reference[cells.null] + reference[cells.invalid])
    # Never missing in m rows says "less than about 1/m", never 0.
    share = max(1, missing) / max(1, usable + missing)
    return {
        "kind": RETYPED if 2 * int(window.vector[cells.invalid]) > rows else GONE,
        "reference": share,
        "rows": rows,
        "nats": nats(share, requests_in(window, layout.traffic.rows + 1)),
        "onset_minute": window.start_minute,
    }
