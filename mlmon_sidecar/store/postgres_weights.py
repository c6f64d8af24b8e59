"""Weights and segments of labelled predictions on PostgreSQL, as ``sqlite_weights`` keeps them: a label whose weight is
1 is in the counts alone, and the tables here hold what other weights add to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlmon_sidecar.records import LABEL_UNIT, LabelErrors, LabelScores, SegmentCell, WeightedCell
from mlmon_sidecar.statistics.score_grid import LOSS_UNIT
from mlmon_sidecar.store import postgres_outcomes
from mlmon_sidecar.store.postgres_outcomes import ACTUAL, ERRING, SCORED
from mlmon_sidecar.store.postgres_sql import DAY_NS, rows_of, write

if TYPE_CHECKING:
    import psycopg

_WEIGHED = f"sum(sign * (counted - {LABEL_UNIT}))"


def _extra(loss: str) -> str:
    """Signed sum of (weight - 1) times each row's own loss, rounded row by row: what goes in comes out again."""
    return f"sum(sign * round((counted - {LABEL_UNIT}) / {LABEL_UNIT}.0::double precision * ({loss}))::bigint)"


_COUNT_CELLS = f"""
INSERT INTO outcome_weights
SELECT model, version, day, greatest(0, (observed_ns - event_ns) / {DAY_NS}), coalesce(predicted, ''),
       {ACTUAL}, {_WEIGHED}, sum(sign * ((counted / {LABEL_UNIT}.0::double precision) ^ 2 - 1))
FROM moved WHERE counted <> {LABEL_UNIT} GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT (model, version, day, age, predicted, actual) DO UPDATE
SET extra = outcome_weights.extra + excluded.extra, squares = outcome_weights.squares + excluded.squares"""  # noqa: S608

_COUNT_SCORES = f"""
INSERT INTO outcome_score_weights
SELECT model, version, day, label, bin, {_WEIGHED} FROM ({SCORED}) AS scored WHERE counted <> {LABEL_UNIT}
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (model, version, day, actual, bin) DO UPDATE
SET extra = outcome_score_weights.extra + excluded.extra"""  # noqa: S608 - constants only

_LOSSES = ("extra", "log_positive", "log_negative", "score", "square")
_COUNT_LOSSES = f"""
INSERT INTO outcome_loss_weights (model, version, day, actual, {", ".join(_LOSSES)})
SELECT model, version, day, label, {_WEIGHED}, {_extra("if_positive")}, {_extra("if_negative")},
       {_extra(f"score * {LOSS_UNIT}")}, {_extra(f"score * score * {LOSS_UNIT}")}
FROM ({SCORED}) AS scored WHERE counted <> {LABEL_UNIT} GROUP BY 1, 2, 3, 4
ON CONFLICT (model, version, day, actual) DO UPDATE
SET {", ".join(f"{name} = outcome_loss_weights.{name} + excluded.{name}" for name in _LOSSES)}"""  # noqa: S608

_COUNT_SEGMENTS = f"""
INSERT INTO outcome_segments
SELECT model, segment, day, coalesce(predicted, ''), {ACTUAL}, sum(sign)
FROM moved WHERE segment <> '' GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (model, segment, day, predicted, actual) DO UPDATE
SET count = outcome_segments.count + excluded.count"""  # noqa: S608 - constants only

# As ``outcomes.regression.ErrorSums``: rows, error, absolute, squared, actual, actual squared, relative, rows with one.
_TERMS = ("1", "error", "abs(error)", "error * error", "level", "level * level", "relative", "whole")
_COUNT_ERRORS = f"""
INSERT INTO outcome_error_weights
SELECT model, version, day,
    ARRAY[{", ".join(f"sum(sign * (counted - {LABEL_UNIT})::numeric * ({term}))" for term in _TERMS)}]
FROM ({ERRING}) AS erring WHERE counted <> {LABEL_UNIT} GROUP BY 1, 2, 3
ON CONFLICT (model, version, day) DO UPDATE SET extra = ARRAY[
    {", ".join(f"outcome_error_weights.extra[{n}] + excluded.extra[{n}]" for n in range(1, len(_TERMS) + 1))}]"""  # noqa: S608


def count(db: psycopg.Connection[Any]) -> None:
    """Of the labels that move (``postgres_outcomes.move``)."""
    write(db, _COUNT_SEGMENTS)
    if rows_of(db, f"SELECT EXISTS (SELECT 1 FROM moved WHERE counted <> {LABEL_UNIT})")[0][0]:  # noqa: S608
        for statement in (_COUNT_CELLS, _COUNT_SCORES, _COUNT_LOSSES, _COUNT_ERRORS):
            write(db, statement)


def cells(db: psycopg.Connection[Any], model: str, first_day: int, last_day: int) -> list[WeightedCell]:
    """Of predictions made from ``first_day`` to ``last_day``, both included; none where every label weighs 1."""
    rows = rows_of(
        db,
        f"""SELECT version, day, age, predicted, actual, count * {LABEL_UNIT} + coalesce(extra, 0),
                count + coalesce(squares, 0.0)
            FROM outcome_panes LEFT JOIN outcome_weights USING (model, version, day, age, predicted, actual)
            WHERE model = %(model)s AND day BETWEEN %(first)s AND %(last)s AND (count <> 0 OR extra <> 0) AND EXISTS (
                SELECT 1 FROM outcome_weights
                WHERE model = %(model)s AND day BETWEEN %(first)s AND %(last)s AND extra <> 0)
            ORDER BY version, day, age, predicted, actual""",  # noqa: S608 - constants only
        {"model": model, "first": first_day, "last": last_day},
    )
    return [WeightedCell(*row) for row in rows]


def scores(db: psycopg.Connection[Any], model: str, positive: str, first_day: int, last_day: int) -> LabelScores:
    """As ``postgres_outcomes.scores``, weights in place of counts: all in units of 2**-20."""
    bindings = {"positive": positive, "model": model, "first": first_day, "last": last_day}
    cells = rows_of(
        db,
        f"""SELECT bin, sum(CASE WHEN actual = %(positive)s THEN 0 ELSE weight END)::bigint,
                sum(CASE WHEN actual = %(positive)s THEN weight ELSE 0 END)::bigint
            FROM (SELECT actual, bin, count * {LABEL_UNIT} + coalesce(extra, 0) AS weight
                  FROM outcome_scores LEFT JOIN outcome_score_weights USING (model, version, day, actual, bin)
                  WHERE model = %(model)s AND day BETWEEN %(first)s AND %(last)s) AS weighed
            GROUP BY bin ORDER BY bin""",  # noqa: S608 - constants only
        bindings,
    )
    losses = rows_of(
        db,
        f"""SELECT coalesce(sum(count * {LABEL_UNIT} + coalesce(w.extra, 0)), 0)::bigint,
                coalesce(sum(CASE WHEN actual = %(positive)s THEN l.log_positive + coalesce(w.log_positive, 0)
                                  ELSE l.log_negative + coalesce(w.log_negative, 0) END), 0)::bigint,
                coalesce(sum(l.square + coalesce(w.square, 0) + CASE WHEN actual = %(positive)s THEN
                    {LOSS_UNIT} * count + coalesce(w.extra, 0) - 2 * (l.score + coalesce(w.score, 0))
                    ELSE 0 END), 0)::bigint
            FROM outcome_losses l LEFT JOIN outcome_loss_weights w USING (model, version, day, actual)
            WHERE model = %(model)s AND day BETWEEN %(first)s AND %(last)s""",  # noqa: S608 - constants only
        bindings,
    )
    return LabelScores(tuple(cells), *losses[0])


def errors(db: psycopg.Connection[Any], model: str, first_day: int, last_day: int) -> LabelErrors | None:
    """As ``postgres_outcomes.errors``, rows by their weights in units of 2**-20; None where every label weighs 1."""
    found = rows_of(
        db,
        "SELECT extra FROM outcome_error_weights WHERE model = %s AND day BETWEEN %s AND %s",
        (model, first_day, last_day),
    )
    extra = [sum(map(int, column)) for column in zip([0] * len(_TERMS), *(row[0] for row in found), strict=True)]
    counted = postgres_outcomes.errors(db, model, first_day, last_day)
    if counted is None or not any(extra):
        return None
    return counted._replace(sums=tuple(n * LABEL_UNIT + more for n, more in zip(counted.sums, extra, strict=True)))


def segments(db: psycopg.Connection[Any], model: str, first_day: int, last_day: int) -> list[SegmentCell]:
    """Of predictions with a segment, made from ``first_day`` to ``last_day``, both included."""
    rows = rows_of(
        db,
        """SELECT segment, predicted, actual, sum(count)::bigint FROM outcome_segments
           WHERE model = %s AND day BETWEEN %s AND %s GROUP BY segment, predicted, actual HAVING sum(count) <> 0
           ORDER BY segment, predicted, actual""",
        (model, first_day, last_day),
    )
    return [SegmentCell(*row) for row in rows]
