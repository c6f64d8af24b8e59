"""From healthy data to a baseline: a layout, and the reference counted on it by the code that serving counts with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mlmon_sidecar.baseline.columns import Columns, RedactCategory, feature_of, unfit, unseen_rate
from mlmon_sidecar.baseline.counting import count_all, count_half_hours
from mlmon_sidecar.baseline.document import Baseline, Roles
from mlmon_sidecar.baseline.predictions import (
    calibration_of,
    confusion_of,
    kind_of,
    positive_of,
    prediction_space,
    texts,
)
from mlmon_sidecar.decode.embedding import Embedder, hashing_embedding
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.statistics.indicators import indicators
from mlmon_sidecar.statistics.layout import CategoricalFeature, Layout, NumericFeature, PredictionSpace
from mlmon_sidecar.statistics.reference import Reference
from mlmon_sidecar.statistics.wander import learn_wander

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector, PredictionBatch

MAX_CELLS = 65_536  # a layout beyond it keeps alarm edges only
MIN_ROWS = 100


@dataclass(frozen=True, slots=True)
class Purpose:
    """Whose baseline it is, and how its predictions read: the settings that serve.

    Attributes:
        kind: "binary", "multiclass", "regression", or "auto" to tell by the predictions.
        threshold: a binary class is ``positive`` when score >= threshold; None: 0.5.
        positive: "" to tell by the classes.
        text, embedder: as in ``DecodeOptions``.
    """

    model: str
    version: str = "baseline"
    kind: str = "auto"
    threshold: float | None = None
    positive: str = ""
    text: frozenset[str] = frozenset()
    embedder: Embedder = hashing_embedding


def build_baseline(
    columns: Columns,
    roles: Roles,
    purpose: Purpose,
    *,
    redact_category: RedactCategory,
    policy: str,
    created: str,
    source: str = "",
    progress: Callable[[float], None] = lambda part: None,
) -> Baseline:
    """Build a baseline from whole columns of one length.

    Args:
        columns: JSON scalars; None where missing.
        roles: names of columns that are not features.
        redact_category: what serving counts categories with; ``policy`` is its hash.
        created: ISO 8601, UTC.
        progress: called with the part done, in [0, 1].

    Raises:
        BaselineError: ``too_few_rows`` or ``column_missing``.
        DecodeError: for columns of different lengths, or times that cannot be read.
    """
    _check(columns, roles)
    kind, options = _options(columns, roles, purpose)
    batch = _batch(columns, roles, options, kind)
    order = np.argsort(batch.event_ns, kind="stable")
    batch = _ordered(batch, order)
    timed = bool(roles.timestamp)
    reasons = {name: unfit(name, column, batch.event_ns if timed else None) for name, column in batch.features.items()}
    kept = [name for name, reason in reasons.items() if not reason]
    labels = texts([columns[roles.label][at] for at in order], redact_category) if roles.label else None
    space = prediction_space(kind, batch, labels, options, redact_category)
    layout = _layout(purpose.model, batch, kept, space, redact_category)
    reference = Reference(
        layout=layout.hash,
        version=purpose.version,
        vector=count_all(layout, batch, redact_category, lambda part: progress(part / 2 if timed else part)),
        new_rate=_new_rates(layout, batch),
    )
    if timed:
        watched = indicators(layout, reference)
        seen = count_half_hours(layout, batch, redact_category, watched, lambda part: progress(0.5 + part / 2))
        learned = learn_wander(watched, seen.half_hour, seen.hits, seen.totals)
        hours = len(np.unique(seen.half_hour // 2))
        reference = replace(reference, hours=hours, tau=learned.tau, deff=learned.deff, profile=learned.profile)
    if labels is not None and space.classes:
        reference = _judged(reference, space, batch, labels, redact_category)
    constant = [f"{f.name}: constant" for f in layout.features if isinstance(f, NumericFeature) and not f.edges]
    excluded = [f"{reason} (left out)" for reason in reasons.values() if reason]
    return Baseline(
        layout=layout,
        reference=reference,
        roles=roles,
        policy=policy,
        created=created,
        source=source,
        rows=batch.rows,
        notes=(*excluded, *constant),
    )


def _check(columns: Columns, roles: Roles) -> None:
    missing = sorted(roles.named() - columns.keys())
    if missing:
        raise BaselineError(
            f"the data has no column {missing[0]!r}",
            code="column_missing",
            hint=f"It has {', '.join(sorted(columns)[:20])}.",
        )
    rows = max(map(len, columns.values()), default=0)
    if rows < MIN_ROWS:
        raise BaselineError(
            f"{rows} rows say too little about what is normal",
            code="too_few_rows",
            hint=f"Give at least {MIN_ROWS} rows; a few thousand make small changes visible.",
        )


def _options(columns: Columns, roles: Roles, purpose: Purpose) -> tuple[str, DecodeOptions]:
    predictions = columns[roles.prediction] if roles.prediction else None
    scores = columns[roles.score] if roles.score else None
    kind = kind_of(predictions, scores) if purpose.kind == "auto" else purpose.kind
    seen = {class_text(value) for value in predictions or ()} | {
        class_text(value) for value in (columns[roles.label] if roles.label else ())
    }
    classes = sorted(name for name in seen if name is not None)
    positive = purpose.positive or (positive_of(classes) if kind == "binary" else "1")
    others = [name for name in classes if name != positive]
    return kind, DecodeOptions(
        name=purpose.model,
        version=purpose.version,
        kind="auto" if kind == "none" else kind,
        threshold=purpose.threshold,
        positive=positive,
        negative=others[0] if kind == "binary" and len(others) == 1 else None,
        text=purpose.text,
        embedder=purpose.embedder,
    )


def _batch(columns: Columns, roles: Roles, options: DecodeOptions, kind: str) -> PredictionBatch:
    def role(name: str) -> Sequence[object] | None:
        return columns[name] if name else None

    return batch_from_columns(
        options.name,
        now_ns=0,
        features={name: column for name, column in columns.items() if name not in roles.named()},
        predictions=role(roles.prediction) if kind != "none" else None,
        scores=role(roles.score),
        ids=role(roles.id),
        times=role(roles.timestamp),
        options=options,
    )


def _ordered(batch: PredictionBatch, order: IntVector) -> PredictionBatch:
    """Ascending in time, so that an hour's rows stand together."""
    places = order.tolist()
    return replace(
        batch,
        event_ns=batch.event_ns[order],
        weight=batch.weight[order],
        prediction_ids=[batch.prediction_ids[at] for at in places],
        aliases=[batch.aliases[at] for at in places],
        features={name: [column[at] for at in places] for name, column in batch.features.items()},
        score=batch.score[order],
        predicted=[batch.predicted[at] for at in places],
        confidence=batch.confidence[order],
    )


def _layout(
    model: str, batch: PredictionBatch, kept: Sequence[str], space: PredictionSpace, redact: RedactCategory
) -> Layout:
    def cut_all(alarm_edges_only: bool) -> Layout:
        features = (feature_of(name, batch.features[name], redact, alarm_edges_only=alarm_edges_only) for name in kept)
        return Layout(model, tuple(features), space)

    layout = cut_all(alarm_edges_only=False)
    return layout if layout.size <= MAX_CELLS else cut_all(alarm_edges_only=True)


def _new_rates(layout: Layout, batch: PredictionBatch) -> dict[str, float]:
    categorical = (feature for feature in layout.features if isinstance(feature, CategoricalFeature))
    return {feature.name: unseen_rate(batch.features[feature.name]) for feature in categorical}


def _judged(
    reference: Reference,
    space: PredictionSpace,
    batch: PredictionBatch,
    labels: Sequence[str | None],
    redact: RedactCategory,
) -> Reference:
    calibration, rows = calibration_of(space, batch.score, labels, batch.aliases)
    confusion = confusion_of(space.classes, texts(batch.predicted, redact), labels)
    return replace(reference, calibration=calibration, calibration_rows=rows, confusion=confusion)
