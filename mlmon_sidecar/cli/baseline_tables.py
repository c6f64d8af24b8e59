"""Baselines on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from mlmon_sidecar.cli.console import out

if TYPE_CHECKING:
    from rich.console import Console

    from mlmon_sidecar.baseline.compare import ColumnChange, Comparison
    from mlmon_sidecar.baseline.describe import Description, FeatureDescription

SHOWN_CATEGORIES = 4
SHOWN_MEMBERS = 12  # of a group of features
WORTH_SHOWING = 0.005  # distance or change of a null share below which a column is not listed


def print_description(described: Description) -> None:
    hours = f"{described.hours} hours" if described.hours else "no timestamps"
    out.print(
        f"[bold]{escape(described.model)}[/], version {escape(described.version)}: {described.rows:,} rows of "
        f"{escape(described.source or 'a table')}, {hours}, built {escape(described.created)}"
    )
    classes = "".join(f", {escape(name)} {share:.1%}" for name, share in described.classes)
    out.print(f"predictions: {described.kind}{classes}")
    if described.score:
        out.print(f"score: {_spread(described.score)}")
    if described.accuracy is not None:
        out.print(
            f"labels: {described.labelled:,} rows, accuracy {described.accuracy:.3f}, "
            f"calibrated on {described.calibrated:,}"
        )
    if described.within is not None:
        tolerance, share = described.within
        out.print(f"labels: {described.labelled:,} rows, {share:.1%} of the errors within {tolerance:.3g}")
    table = Table("feature", "kind", "values", "null", "unusable", "weight", "smallest shift")
    for feature in described.features:
        table.add_row(
            escape(feature.name), feature.kind, escape(_values(feature)), f"{feature.nulls:.2%}",
            f"{feature.unusable:.2%}", f"{feature.weight:.1%}", f"{feature.detectable:.3f}",
        )  # fmt: skip
    out.print(table)
    out.print("[dim]values: 5 %, 25 %, 50 %, 75 % and 95 % of a number; smallest shift: of a share of one half[/]")
    for group in described.groups:
        out.print(f"one group: {_members(group)}")
    if described.together:
        out.print(f"dependence is watched of: {_members(described.together)}")
    for name, clusters in described.embeddings:
        out.print(f"watched as a whole: {escape(name)}, {clusters} clusters")
    for dimension in described.segments:
        listed = ", ".join(f"{name} {share:.0%}" for name, share in dimension.shares)
        out.print(
            f"segments by {escape(dimension.name)} ({dimension.columns} of {len(described.features)} features): "
            f"{escape(listed)}"
        )
    out.print(f"minimum volume: below {described.full_volume:g} requests an hour alarms come later than they could")
    if described.collapse_rows is not None:
        out.print(f"a collapse is told from {described.collapse_rows:,} identical predictions on")
    for note in described.notes:
        out.print(f"[dim]note:[/] {escape(note)}")


def _members(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_MEMBERS} more" if len(names) > SHOWN_MEMBERS else ""
    return escape(", ".join(names[:SHOWN_MEMBERS])) + more


def print_comparison(comparison: Comparison, to: Console = out) -> None:
    for name, before, after in comparison.figures:
        to.print(f"{name}: {escape(_figure(before))} -> {escape(_figure(after))}")
    for word, names in (("added", comparison.added), ("removed", comparison.removed)):
        if names:
            to.print(f"[bold]{word}:[/] {escape(', '.join(names))}")
    table = Table("column", "distance, at least", "null", "categories")
    changed = [*filter(_is_worth, comparison.predictions), *sorted(filter(_is_worth, comparison.columns), key=_order)]
    for column in changed:
        table.add_row(escape(column.name), _distance(column), _nulls(column), escape(_categories(column)))
    if changed:
        to.print(table)
    same = len(comparison.columns) + len(comparison.predictions) - len(changed)
    to.print(f"[dim]{same} columns as they were (distance and nulls within {WORTH_SHOWING})[/]")


def _values(feature: FeatureDescription) -> str:
    if feature.quantiles:
        return _spread(feature.quantiles)
    listed = ", ".join(f"{name} {share:.0%}" for name, share in feature.categories[:SHOWN_CATEGORIES])
    more = len(feature.categories[SHOWN_CATEGORIES:]) + feature.further
    return listed + (f"{' and ' if listed else ''}{more} more" if more else "")


def _spread(values: tuple[float, ...]) -> str:
    return "  ".join(f"{value:.4g}" for value in values)


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "none" if value in (None, "") else str(value)


def _is_worth(column: ColumnChange) -> bool:
    moved = column.distance is None or column.distance >= WORTH_SHOWING
    lost = abs(column.nulls[1] - column.nulls[0]) >= WORTH_SHOWING
    return moved or lost or bool(column.appeared or column.vanished)


def _order(column: ColumnChange) -> tuple[float, str]:
    return -(1.0 if column.distance is None else column.distance), column.name


def _distance(column: ColumnChange) -> str:
    if column.distance is not None:
        return f"{column.method.upper()} {column.distance:.3f}"
    return "no values" if column.kinds[0] == column.kinds[1] else f"{column.kinds[0]} -> {column.kinds[1]}"


def _nulls(column: ColumnChange) -> str:
    before, after = column.nulls
    return f"{before:.2%} -> {after:.2%}" if before != after else f"{after:.2%}"


def _categories(column: ColumnChange) -> str:
    parts = [f"{sign}{name}" for sign, names in (("+", column.appeared), ("-", column.vanished)) for name in names]
    return ", ".join(parts[:SHOWN_CATEGORIES]) + (f" and {len(parts) - SHOWN_CATEGORIES} more" if parts[4:] else "")
