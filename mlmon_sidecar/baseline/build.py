"""From healthy data to a baseline: a layout, and the reference counted on it by the code that serving counts with.

The table is read several times, a few rows at a time, and is never held as a whole: a survey of its columns, one look
at every row or two, a count, and where rows have times a count by the hour. What is remembered between the rows is
bounded whatever their number, and depends on the set of rows alone: neither their order nor the size of the pieces
changes a byte of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mlmon_sidecar.baseline import tables
from mlmon_sidecar.baseline.base_rate import at_base_rate
from mlmon_sidecar.baseline.columns import ColumnLook, RedactCategory
from mlmon_sidecar.baseline.counting import count_all, count_half_hours, counted_half_hours
from mlmon_sidecar.baseline.cuts import coarse
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.embeddings import embedding_spaces
from mlmon_sidecar.baseline.groups import correlated_groups
from mlmon_sidecar.baseline.held_out import without_fitted
from mlmon_sidecar.baseline.importances import weights_of
from mlmon_sidecar.baseline.joint import joint_space
from mlmon_sidecar.baseline.look import Look
from mlmon_sidecar.baseline.predictions import Judge, prediction_space
from mlmon_sidecar.baseline.rows import RowFilter, RowReader
from mlmon_sidecar.baseline.segments import with_segments
from mlmon_sidecar.baseline.survey import Purpose, Survey, survey
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.segment_indicators import segment_indicators
from mlmon_sidecar.statistics.segment_wander import learn_segment_wander, sampled
from mlmon_sidecar.statistics.wander import learn_wander

__all__ = ["MAX_CELLS", "MIN_ROWS", "Purpose", "build_baseline"]

MAX_CELLS = 65_536  # a layout beyond it keeps alarm edges only
MIN_ROWS = 100
# Where each pass ends, as a part of all; then the hours of segments.
_SURVEY, _FIRST, _SECOND, _COUNT, _HOURS = 0.15, 0.45, 0.6, 0.8, 0.95

Progress = Callable[[float], None]


def build_baseline(
    data: object,
    roles: Roles,
    purpose: Purpose,
    *,
    redact_category: RedactCategory,
    policy: str,
    created: str,
    source: str = "",
    importances: Mapping[str, float] | None = None,
    base_rate: float | None = None,
    chunk_rows: int | None = None,
    progress: Progress = lambda part: None,
) -> Baseline:
    """Build a baseline.

    Args:
        data: a mapping of columns, a list of mappings, a pandas, polars or pyarrow table, a two-dimensional array, or
            a ``tables.Source``, which ``reading.open_table`` makes of a file.
        roles: names of columns that are not features.
        redact_category: what serving counts categories with; ``policy`` is its hash.
        created: ISO 8601, UTC.
        importances: of features, by name; any scale.
        base_rate: the population's share of positives, in (0, 1); None: the data's own.
        chunk_rows: rows held at once, 1 or more; None: as many as the table's width allows. It changes nothing else.
        progress: called with the part done, in [0, 1].

    Raises:
        BaselineError: ``too_few_rows``, ``column_missing``, ``weight_invalid``, ``base_rate_invalid``,
            ``importances_invalid`` or ``too_many_rows``.
        DecodeError: for columns of different lengths, or times that cannot be read.
    """
    table = tables.as_source(data)
    step = chunk_rows or tables.chunk_rows(table)
    found = survey(table, roles, purpose, step, _stage(progress, 0.0, _SURVEY))
    _require_rows(found.rows)
    keep = None if base_rate is None else _filter(found, roles, base_rate)
    reader = RowReader(table, found, roles, redact_category, step, keep)
    look = _looked(reader, found, roles, purpose, redact_category, progress)
    _require_rows(look.rows)
    kept, notes = _features(look)
    space = prediction_space(found.kind, look.classes, look.scores, found.options, redact_category)
    layout, remarks = with_segments(
        _related(_layout(purpose.model, kept, space, notes), look), look.dimensions, importances or {}, MAX_CELLS
    )
    notes += remarks
    judge = Judge(space)
    vector = count_all(layout, reader, redact_category, _stage(progress, _SECOND, _COUNT), judge)
    vector = without_fitted(layout, vector, look.sample)
    calibration, calibrated = judge.calibration()
    reference = Reference(
        layout=layout.hash,
        version=purpose.version,
        vector=vector,
        new_rate=_new_rates(layout, kept),
        calibration=calibration,
        calibration_rows=calibrated,
        confusion=judge.confusion(),
        errors=judge.errors(),
        groups=_groups(layout, look),
        class_calibration=judge.class_calibration(),
    )
    if roles.timestamp:
        watched = indicators(layout, reference)
        halves = counted_half_hours(look.half_hours, watched)
        seen = count_half_hours(layout, reader, redact_category, watched, halves, _stage(progress, _COUNT, _HOURS))
        learned = learn_wander(watched, seen.half_hour, seen.hits, seen.totals)
        hours, learned_from = len(np.unique(look.half_hours // 2)), len(np.unique(halves // 2))
        reference = replace(reference, hours=hours, tau=learned.tau, deff=learned.deff, profile=learned.profile)
        if layout.segments.dimensions:
            reference = _own_wander(reference, layout, reader, redact_category, look, _stage(progress, _HOURS, 1.0))
        if learned_from < hours:
            notes.append(f"wander is learned from the last {learned_from} of {hours} hours")
    if importances is not None:
        weight, unknown = weights_of(importances, [feature.name for feature in layout.features])
        reference = replace(reference, weight=weight)
        notes += [f"{name}: given an importance, but no feature" for name in unknown]
    if base_rate is not None:
        notes.append(f"{look.rows} of {found.rows} rows are kept, for a base rate of {base_rate:g}")
    progress(1.0)
    return Baseline(
        layout=layout,
        reference=reference,
        roles=roles,
        policy=policy,
        created=created,
        source=source,
        rows=look.rows,
        notes=tuple(notes),
    )


def _stage(progress: Progress, start: float, end: float) -> Progress:
    return lambda part: progress(start + (end - start) * part)


def _require_rows(rows: int) -> None:
    if rows < MIN_ROWS:
        raise BaselineError(
            f"{rows} rows say too little about what is normal",
            code="too_few_rows",
            hint=f"Give at least {MIN_ROWS} rows; a few thousand make small changes visible.",
        )


def _filter(found: Survey, roles: Roles, rate: float) -> RowFilter:
    if not roles.label or found.kind != "binary":
        raise BaselineError(
            "a base rate needs labels and a binary prediction",
            code="base_rate_invalid",
            hint="Name the label column with --label, and the prediction's with --prediction or --score.",
        )
    return at_base_rate(found.labels, found.options.positive, rate)


def _looked(
    reader: RowReader, found: Survey, roles: Roles, purpose: Purpose, redact: RedactCategory, progress: Progress
) -> Look:
    names = [name for name in found.names if name not in roles.named()]
    classes = found.kind in ("binary", "multiclass")
    look = Look(names, redact, timed=bool(roles.timestamp), classes=classes, dimensions=purpose.segments)
    look.first(reader, _stage(progress, _SURVEY, _FIRST))
    if look.needs_second:
        look.second(reader, _stage(progress, _FIRST, _SECOND))
    return look


def _features(look: Look) -> tuple[list[ColumnLook], list[str]]:
    """The columns that are features, and what is to be said of all."""
    kept: list[ColumnLook] = []
    excluded, remarks = [], []
    for column in look.columns():
        reason = look.unfit(column)
        if reason:
            excluded.append(f"{column.name}: {reason} (left out)")
            continue
        kept.append(column)
        if remark := column.remark():
            remarks.append(f"{column.name}: {remark}")
    return kept, excluded + remarks


def _layout(model: str, kept: Sequence[ColumnLook], space: PredictionSpace, notes: list[str]) -> Layout:
    layout = Layout(model, tuple(column.feature() for column in kept), space)
    if layout.size <= MAX_CELLS:
        return layout
    notes.append(f"{layout.size} cells are more than {MAX_CELLS}: numbers are counted at the edges of alarms only")
    features = (coarse(each) if isinstance(each, NumericFeature) else each for each in layout.features)
    return Layout(model, tuple(features), space)


def _own_wander(
    reference: Reference, layout: Layout, reader: RowReader, redact: RedactCategory, look: Look, progress: Progress
) -> Reference:
    """With the wander of segments that move otherwise than the whole."""
    watched = segment_indicators(layout, reference)
    telling = sampled(watched)
    halves = counted_half_hours(look.half_hours, telling)
    seen = count_half_hours(layout, reader, redact, telling, halves, progress)
    own = learn_segment_wander(watched, telling, reference, seen.half_hour, seen.hits, seen.totals)
    return replace(reference, tau={**reference.tau, **own.tau}, profile={**reference.profile, **own.profile})


def _related(layout: Layout, look: Look) -> Layout:
    """With what is counted of several features together."""
    names = [feature.name for feature, _ in layout.numeric()]
    joint = joint_space(layout, look.sample)
    return replace(layout, embeddings=embedding_spaces(names, look.sample), joint=joint)


def _groups(layout: Layout, look: Look) -> tuple[tuple[str, ...], ...]:
    names = [feature.name for feature, _ in layout.numeric()]
    return correlated_groups(names, look.sample.matrix(names))


def _new_rates(layout: Layout, kept: Sequence[ColumnLook]) -> dict[str, float]:
    """Of each categorical feature: how often the next row brings a category that none showed."""
    categorical = (column for column in kept if isinstance(layout.feature(column.name), CategoricalFeature))
    return {column.name: column.unseen() for column in categorical}
