"""Weights and segments of labelled predictions on SQLite.

A label whose weight is 1 is in the counts alone; the tables here hold what other weights add to them. So a service
without weights pays nothing, and its figures are the counts'. Whole statements only, as in ``sqlite_labels``.
"""

from __future__ import annotations

import apsw
import orjson

from mlmon_sidecar.records import LABEL_UNIT, LabelScores, SegmentCell, WeightedCell
from mlmon_sidecar.statistics.score_grid import LOSS_UNIT
from mlmon_sidecar.store import sqlite_error_weights
from mlmon_sidecar.store.sqlite_outcomes import ACTUAL, SCORED
from mlmon_sidecar.store.sqlite_reading import one

_WEIGHED = f"sign * (counted - {LABEL_UNIT})"


def _extra(loss: str) -> str:
    """Signed sum of (weight - 1) times each row's own loss, rounded row by row: what goes in comes out again."""
    return f"sum(sign * CAST(round((counted - {LABEL_UNIT}) / {LABEL_UNIT}.0 * ({loss})) AS INTEGER))"


_COUNT_CELLS = f"""
INSERT INTO outcome_weights
SELECT model, version, day, max(0, (observed_ns - event_ns) / :day), coalesce(predicted, ''),
       {ACTUAL}, sum({_WEIGHED}),
       sum(sign * ((counted / {LABEL_UNIT}.0) * (counted / {LABEL_UNIT}.0) - 1))
FROM temp.moved WHERE counted <> {LABEL_UNIT} GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT DO UPDATE SET extra = extra + excluded.extra, squares = squares + excluded.squares"""  # noqa: S608

_COUNT_SCORES = f"""
INSERT INTO outcome_score_weights
SELECT model, version, day, label, bin, sum({_WEIGHED}) FROM ({SCORED}) WHERE counted <> {LABEL_UNIT}
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET extra = extra + excluded.extra"""  # noqa: S608 - constants only

_COUNT_LOSSES = f"""
INSERT INTO outcome_loss_weights
SELECT model, version, day, label, sum({_WEIGHED}), {_extra("if_positive")}, {_extra("if_negative")},
       {_extra(f"score * {LOSS_UNIT}")}, {_extra(f"score * score * {LOSS_UNIT}")}
FROM ({SCORED}) WHERE counted <> {LABEL_UNIT} GROUP BY 1, 2, 3, 4
ON CONFLICT DO UPDATE SET extra = extra + excluded.extra, log_positive = log_positive + excluded.log_positive,
    log_negative = log_negative + excluded.log_negative, score = score + excluded.score,
    square = square + excluded.square"""  # noqa: S608 - constants only

_COUNT_SEGMENTS = f"""
INSERT INTO outcome_segments
SELECT model, segment, day, coalesce(predicted, ''), {ACTUAL}, sum(sign)
FROM temp.moved WHERE segment <> '' GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET count = count + excluded.count"""  # noqa: S608 - constants only

_CELLS = f"""
SELECT json_group_array(json_array(version, day, age, predicted, actual, weight, squares)) FROM (
    SELECT version, day, age, predicted, actual, count * {LABEL_UNIT} + coalesce(extra, 0) AS weight,
           count + coalesce(squares, 0.0) AS squares
    FROM outcome_panes LEFT JOIN outcome_weights USING (model, version, day, age, predicted, actual)
    WHERE model = :model AND day BETWEEN :first AND :last AND (count <> 0 OR extra <> 0) AND EXISTS (
        SELECT 1 FROM outcome_weights WHERE model = :model AND day BETWEEN :first AND :last AND extra <> 0)
    ORDER BY version, day, age, predicted, actual)"""  # noqa: S608 - constants only

_SCORE_CELLS = f"""
SELECT json_group_array(json_array(bin, negatives, positives)) FROM (
    SELECT bin, sum(iif(actual = :positive, 0, weight)) AS negatives, sum(iif(actual = :positive, weight, 0)) AS positives
    FROM (SELECT actual, bin, count * {LABEL_UNIT} + coalesce(extra, 0) AS weight
          FROM outcome_scores LEFT JOIN outcome_score_weights USING (model, version, day, actual, bin)
          WHERE model = :model AND day BETWEEN :first AND :last)
    GROUP BY bin ORDER BY bin)"""  # noqa: E501, S608 - constants only

_LOSSES = f"""
SELECT json_array(coalesce(sum(count * {LABEL_UNIT} + coalesce(w.extra, 0)), 0),
    coalesce(sum(iif(actual = :positive, l.log_positive + coalesce(w.log_positive, 0),
                                         l.log_negative + coalesce(w.log_negative, 0))), 0),
    coalesce(sum(l.square + coalesce(w.square, 0) + iif(actual = :positive,
        {LOSS_UNIT} * count + coalesce(w.extra, 0) - 2 * (l.score + coalesce(w.score, 0)), 0)), 0))
FROM outcome_losses l LEFT JOIN outcome_loss_weights w USING (model, version, day, actual)
WHERE model = :model AND day BETWEEN :first AND :last"""  # noqa: S608 - constants only


def count(db: apsw.Connection, day_ns: int) -> None:
    """Of the labels that move (``sqlite_outcomes.move``)."""
    db.execute(_COUNT_SEGMENTS).fetchall()
    if one(db, f"SELECT EXISTS (SELECT 1 FROM temp.moved WHERE counted <> {LABEL_UNIT})"):  # noqa: S608
        db.execute(_COUNT_CELLS, {"day": day_ns}).fetchall()
        db.execute(_COUNT_SCORES).fetchall()
        db.execute(_COUNT_LOSSES).fetchall()
        sqlite_error_weights.count(db)


def cells(db: apsw.Connection, model: str, first_day: int, last_day: int) -> list[WeightedCell]:
    """Of predictions made from ``first_day`` to ``last_day``, both included; none where every label weighs 1."""
    rows = one(db, _CELLS, {"model": model, "first": first_day, "last": last_day})
    return [WeightedCell(*row) for row in orjson.loads(rows)]


def scores(db: apsw.Connection, model: str, positive: str, first_day: int, last_day: int) -> LabelScores:
    """As ``sqlite_outcomes.scores``, weights in place of counts: all in units of 2**-20."""
    bindings = {"positive": positive, "model": model, "first": first_day, "last": last_day}
    cells = orjson.loads(one(db, _SCORE_CELLS, bindings))
    weight, log_loss, squared = orjson.loads(one(db, _LOSSES, bindings))
    return LabelScores(tuple(tuple(cell) for cell in cells), weight, log_loss, squared)


def segments(db: apsw.Connection, model: str, first_day: int, last_day: int) -> list[SegmentCell]:
    """Of predictions with a segment, made from ``first_day`` to ``last_day``, both included."""
    rows = one(
        db,
        """SELECT json_group_array(json_array(segment, predicted, actual, rows)) FROM (
               SELECT segment, predicted, actual, sum(count) AS rows FROM outcome_segments
               WHERE model = ? AND day BETWEEN ? AND ? GROUP BY segment, predicted, actual HAVING rows <> 0
               ORDER BY segment, predicted, actual)""",
        (model, first_day, last_day),
    )
    return [SegmentCell(*row) for row in orjson.loads(rows)]
