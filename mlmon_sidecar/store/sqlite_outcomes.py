"""Scores and errors of labelled predictions on SQLite: counted with the labels, read by day.

Whole statements only, as in ``sqlite_labels``. Counts and sums are signed and integers.
"""

from __future__ import annotations

import math

import apsw
import orjson

from mlmon_sidecar.records import LabelErrors, LabelScores, Part
from mlmon_sidecar.statistics.error_bins import LAST_BIN as LAST_ERROR
from mlmon_sidecar.statistics.error_bins import PER_OCTAVE, SLACK
from mlmon_sidecar.statistics.error_scale import CLIP, RELATIVE_UNIT, STEPS, scale_of
from mlmon_sidecar.statistics.score_grid import LAST_BIN, LOSS_UNIT, SMALLEST
from mlmon_sidecar.statistics.score_grid import STEPS as BINS_PER_ODDS
from mlmon_sidecar.store.sqlite_reading import one

CREATE_MOVED = """
CREATE TEMP TABLE IF NOT EXISTS moved (
    model, version, segment, day, event_ns, predicted, score, observed_ns, label, counted, sign)"""

FILL_MOVED = """
INSERT INTO temp.moved
SELECT p.model, p.version, p.segment, p.event_ns / :day, p.event_ns, p.predicted, p.score, l.observed_ns, l.label,
    l.counted, l.sign
FROM (
    SELECT prediction_id, observed_ns, label, counted, 1 AS sign FROM labels
    WHERE label_id IN (SELECT value FROM json_each(:counted))
    UNION ALL
    SELECT prediction_id, observed_ns, label, counted, -1 FROM labels
    WHERE prediction_id IN (SELECT value FROM json_each(:predictions)) AND state = 'joined') AS l
JOIN predictions p USING (prediction_id)"""
"""Labels that enter their cell, and those that leave it for them. ``:counted`` label ids, ``:predictions`` of them."""

A_NUMBER = """(predicted IS NULL AND score IS NOT NULL AND
    CASE WHEN json_valid(label) THEN json_type(label) IN ('integer', 'real') ELSE false END)"""
"""Whether a label is the number that its prediction spoke of."""

ACTUAL = f"""
CASE WHEN NOT {A_NUMBER} THEN label WHEN score - label = 0 THEN 'error {-LAST_ERROR}'
ELSE 'error ' || CAST(max({-LAST_ERROR}, min({LAST_ERROR},
    ceil(log2(abs(score - label)) * {PER_OCTAVE} - {SLACK!r}))) AS INTEGER) END"""
"""The actual class; of a number the bin of its error (``statistics.error_bins``)."""

SCORED = f"""
SELECT model, version, segment, day, label, score, counted, sign, predicted = label AS hit,
    CASE WHEN score <= 0 THEN {-LAST_BIN - 1} WHEN score >= 1 THEN {LAST_BIN + 1}
         ELSE max({-LAST_BIN}, min({LAST_BIN}, CAST(round(ln(score / (1 - score)) * {BINS_PER_ODDS}) AS INTEGER)))
    END AS bin,
    -CAST(round(ln(max({SMALLEST!r}, score)) * {LOSS_UNIT}) AS INTEGER) AS if_positive,
    -CAST(round(ln(max({SMALLEST!r}, 1 - score)) * {LOSS_UNIT}) AS INTEGER) AS if_negative
FROM temp.moved WHERE predicted IS NOT NULL AND score BETWEEN 0 AND 1"""  # noqa: S608 - constants only
"""Labelled scores with their bin, and their losses in units of 2**-20."""

WHOLE, SEGMENT = ("outcome", "version", "true"), ("outcome_segment", "segment", "segment <> ''")
"""Tables, the column beside the model, and what is counted there."""


def _count_scores(tables: str, part: str, where: str) -> str:
    return f"""
INSERT INTO {tables}_scores
SELECT model, {part}, day, label, bin, sum(sign), sum(sign * hit) FROM ({SCORED}) WHERE {where} GROUP BY 1, 2, 3, 4, 5
ON CONFLICT DO UPDATE SET count = count + excluded.count, hits = hits + excluded.hits"""  # noqa: S608 - constants only


def _count_losses(tables: str, part: str, where: str) -> str:
    return f"""
INSERT INTO {tables}_losses
SELECT model, {part}, day, label, sum(sign), sum(sign * if_positive), sum(sign * if_negative),
       sum(sign * CAST(round(score * {LOSS_UNIT}) AS INTEGER)),
       sum(sign * CAST(round(score * score * {LOSS_UNIT}) AS INTEGER)),
       sum(sign * hit), sum(sign * iif(hit, if_positive, if_negative)),
       sum(sign * hit * CAST(round(score * {LOSS_UNIT}) AS INTEGER))
FROM ({SCORED}) WHERE {where} GROUP BY 1, 2, 3, 4
ON CONFLICT DO UPDATE SET count = count + excluded.count, log_positive = log_positive + excluded.log_positive,
    log_negative = log_negative + excluded.log_negative, score = score + excluded.score,
    square = square + excluded.square, hits = hits + excluded.hits, log_hit = log_hit + excluded.log_hit,
    hit_score = hit_score + excluded.hit_score"""  # noqa: S608 - constants only


_WITHOUT_SCALE = f"""
SELECT json_group_array(json_array(model, label)) FROM temp.moved
WHERE sign > 0 AND {A_NUMBER} AND model NOT IN (SELECT model FROM outcome_scales)"""  # noqa: S608 - constants only

ERRING = f"""
SELECT model, version, segment, day, counted, sign,
    CAST(round(max({-CLIP}, min({CLIP}, (score - label) / unit * {STEPS}))) AS INTEGER) AS error,
    CAST(round(max({-CLIP}, min({CLIP}, (label - center) / unit * {STEPS}))) AS INTEGER) AS level,
    coalesce(CAST(round(min({STEPS}, abs((score - label) / CAST(label AS REAL))) * {RELATIVE_UNIT})
        AS INTEGER), 0) AS relative,
    CAST(label AS REAL) <> 0 AS whole
FROM temp.moved JOIN outcome_scales USING (model) WHERE {A_NUMBER}"""  # noqa: S608 - constants only
"""Labels that are numbers, with their errors in fixed point (``statistics.error_scale``)."""


def _count_errors(tables: str, part: str, where: str) -> str:
    return f"""
INSERT INTO {tables}_errors
SELECT model, {part}, day, sum(sign), sum(sign * error), sum(sign * abs(error)), sum(sign * error * error),
       sum(sign * level), sum(sign * level * level), sum(sign * relative), sum(sign * whole)
FROM ({ERRING}) WHERE {where} GROUP BY 1, 2, 3
ON CONFLICT DO UPDATE SET count = count + excluded.count, error = error + excluded.error,
    absolute = absolute + excluded.absolute, squared = squared + excluded.squared, actual = actual + excluded.actual,
    actual_squared = actual_squared + excluded.actual_squared, relative = relative + excluded.relative,
    relative_count = relative_count + excluded.relative_count"""  # noqa: S608 - constants only


_SCORES = [count(*where) for count in (_count_scores, _count_losses) for where in (WHOLE, SEGMENT)]
_ERRORS = [_count_errors(*where) for where in (WHOLE, SEGMENT)]


def move(db: apsw.Connection, day_ns: int, counted: str, predictions: str) -> None:
    """Look up once what ``count`` and ``sqlite_labels`` count. Both are JSON arrays; before the labels' states change:
    earlier labels are still ``joined``."""
    db.execute(CREATE_MOVED).fetchall()
    db.execute("DELETE FROM temp.moved").fetchall()
    db.execute(FILL_MOVED, {"day": day_ns, "counted": counted, "predictions": predictions}).fetchall()


def count(db: apsw.Connection) -> None:
    """Scores and errors of the labels that move."""
    for statement in _SCORES:
        db.execute(statement).fetchall()
    numbers: dict[str, list[float]] = {}
    for model, label in orjson.loads(one(db, _WITHOUT_SCALE)):
        if math.isfinite(float(label)):
            numbers.setdefault(model, []).append(float(label))
    scales = [(model, *scale_of(found)) for model, found in numbers.items()]
    if scales:
        db.execute(
            "INSERT INTO outcome_scales SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
            (orjson.dumps(scales).decode(),),
        ).fetchall()
    for statement in _ERRORS:
        db.execute(statement).fetchall()


def scores(
    db: apsw.Connection, model: str, positive: str, first_day: int, last_day: int, part: Part | None = None
) -> LabelScores:
    """Of predictions made from ``first_day`` to ``last_day``, both included; of one part of them, or of all."""
    tables, where, bindings = _of(model, first_day, last_day, part)
    bindings["positive"] = positive
    cells = one(
        db,
        f"""SELECT json_group_array(json_array(bin, negatives, positives)) FROM (
               SELECT bin, sum(iif(actual = :positive, 0, count)) AS negatives,
                      sum(iif(actual = :positive, count, 0)) AS positives
               FROM {tables}_scores WHERE {where} GROUP BY bin ORDER BY bin)""",  # noqa: S608 - constants only
        bindings,
    )
    losses = one(
        db,
        f"""SELECT json_array(coalesce(sum(count), 0),
                coalesce(sum(iif(actual = :positive, log_positive, log_negative)), 0),
                coalesce(sum(iif(actual = :positive, square - 2 * score + {LOSS_UNIT} * count, square)), 0))
            FROM {tables}_losses WHERE {where}""",  # noqa: S608 - constants only
        bindings,
    )
    rows, log_loss, squared = orjson.loads(losses)
    return LabelScores(tuple(tuple(cell) for cell in orjson.loads(cells)), rows, log_loss, squared)


def answer_scores(
    db: apsw.Connection, model: str, first_day: int, last_day: int, part: Part | None = None
) -> LabelScores:
    """As ``scores``; positive are rows whose predicted class was right. Cells of an earlier schema are left out."""
    tables, where, bindings = _of(model, first_day, last_day, part)
    cells = one(
        db,
        f"""SELECT json_group_array(json_array(bin, wrong, right)) FROM (
               SELECT bin, sum(count - hits) AS wrong, sum(hits) AS right FROM {tables}_scores
               WHERE {where} AND hits IS NOT NULL GROUP BY bin ORDER BY bin)""",  # noqa: S608 - constants only
        bindings,
    )
    losses = one(
        db,
        f"""SELECT json_array(coalesce(sum(count), 0), coalesce(sum(log_hit), 0),
                coalesce(sum(square - 2 * hit_score + {LOSS_UNIT} * hits), 0))
            FROM {tables}_losses WHERE {where} AND hits IS NOT NULL""",  # noqa: S608 - constants only
        bindings,
    )
    rows, log_loss, squared = orjson.loads(losses)
    return LabelScores(tuple(tuple(cell) for cell in orjson.loads(cells)), rows, log_loss, squared)


def errors(
    db: apsw.Connection, model: str, first_day: int, last_day: int, part: Part | None = None
) -> LabelErrors | None:
    """As ``scores``; None while no label of them was a number."""
    tables, where, bindings = _of(model, first_day, last_day, part)
    found = one(
        db,
        f"""SELECT json_array(center, unit, json_array(
               coalesce(sum(count), 0), coalesce(sum(error), 0), coalesce(sum(absolute), 0), coalesce(sum(squared), 0),
               coalesce(sum(actual), 0), coalesce(sum(actual_squared), 0), coalesce(sum(relative), 0),
               coalesce(sum(relative_count), 0)))
           FROM outcome_scales LEFT JOIN {tables}_errors USING (model)
           WHERE {where} GROUP BY model""",  # noqa: S608 - constants only
        bindings,
    )
    if found is None:
        return None
    center, unit, sums = orjson.loads(found)
    return LabelErrors(center, unit, tuple(sums))


def _of(model: str, first_day: int, last_day: int, part: Part | None) -> tuple[str, str, dict[str, str | int]]:
    """(tables, condition, its bindings)."""
    tables, column, _ = SEGMENT if part is not None and part.kind == SEGMENT[1] else WHOLE
    bindings: dict[str, str | int] = {"model": model, "first": first_day, "last": last_day}
    where = "model = :model AND day BETWEEN :first AND :last"
    if part is None:
        return tables, where, bindings
    return tables, f"{where} AND {column} = :part", {**bindings, "part": part.name}
