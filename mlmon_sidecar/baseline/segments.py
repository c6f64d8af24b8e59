"""Which segments a layout counts by themselves: the commonest values of each dimension, and as many columns of each as
there is room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mlmon_sidecar.aggregate.segments import dimension_values
from mlmon_sidecar.baseline.columns import ColumnLook
from mlmon_sidecar.statistics.segments import (
    MAX_VALUES,
    OTHER_SEGMENT,
    Dimension,
    SegmentSpace,
    column_sources,
)

if TYPE_CHECKING:
    from mlmon_sidecar.baseline.rows import Rows
    from mlmon_sidecar.statistics.layout import Layout


def look_at(looks: Mapping[str, ColumnLook], rows: Rows) -> None:
    """Show the dimensions some rows, in the first look."""
    for name, look in looks.items():
        values = dimension_values(rows.batch, name)
        if values is not None:
            look.add(list(values), rows.counts)


def look_closer_at(looks: Mapping[str, ColumnLook], rows: Rows) -> None:
    """The same in the second look."""
    for name, look in crowded(looks).items():
        values = dimension_values(rows.batch, name)
        if values is not None:
            look.look_closer(list(values), rows.counts)


def crowded(looks: Mapping[str, ColumnLook]) -> dict[str, ColumnLook]:
    """Those of more different texts than a first look can count; numbers of that many have no frequent values."""
    return {name: look for name, look in looks.items() if look.needs_closer and not look.is_numeric}


def with_segments(
    layout: Layout, looks: Mapping[str, ColumnLook], importances: Mapping[str, float], most_cells: int
) -> tuple[Layout, list[str]]:
    """The layout with blocks for its segments, and what is to be said of them.

    Where ``most_cells`` do not hold every column, the more important ones have cells, else the first.
    """
    dimensions, notes = _dimensions(looks)
    if not dimensions:
        return layout, notes
    bare = replace(layout, segments=SegmentSpace(dimensions))
    room = (most_cells - layout.size) // len(bare.segment_cells.blocks) - len(bare.segment_cells.sources)
    if room < 0:
        return layout, [*notes, f"segments: {layout.size} cells leave no room for them"]
    columns = _fitting(layout, importances, room)
    if len(columns) < len(layout.features):
        notes.append(
            f"segments: {len(columns)} of {len(layout.features)} columns are counted by segment, more would take "
            f"more than {most_cells} cells"
        )
    return replace(layout, segments=SegmentSpace(dimensions, columns)), notes


def _dimensions(looks: Mapping[str, ColumnLook]) -> tuple[tuple[Dimension, ...], list[str]]:
    dimensions, notes = list[Dimension](), list[str]()
    for name, look in looks.items():
        values = tuple(value for value in look.frequent(MAX_VALUES) if value != OTHER_SEGMENT)
        if values:
            dimensions.append(Dimension(name, values))
        else:
            reason = "no value comes often enough" if look.present else "the data has no values"
            notes.append(f"{name}: no segments, {reason}")
    return tuple(dimensions), notes


def _fitting(layout: Layout, importances: Mapping[str, float], room: int) -> tuple[str, ...]:
    """Columns whose cells fit into ``room``, in the layout's order."""
    names: Sequence[str] = [feature.name for feature in layout.features]
    chosen = set[str]()
    for name in sorted(names, key=lambda name: -importances.get(name, 0.0)):  # stable: equals stay in order
        cells = sum(1 for _ in column_sources(layout.cells[name]))
        if cells > room:
            break
        room -= cells
        chosen.add(name)
    return tuple(name for name in names if name in chosen)
