"""Scores and errors of labelled predictions on PostgreSQL: counted with the labels, read by day.

Counts and sums are signed and integers. PostgreSQL refuses to compute what overflows where SQLite gives an infinity, so
numbers are kept within 1e150 of 0 before they are subtracted or divided.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.records import LabelErrors, LabelScores, Part
from mlmon_sidecar.statistics.error_bins import LAST_BIN as LAST_ERROR
from mlmon_sidecar.statistics.error_bins import PER_OCTAVE, SLACK
from mlmon_sidecar.statistics.error_scale import CLIP, RELATIVE_UNIT, STEPS, scale_of
from mlmon_sidecar.statistics.score_grid import LAST_BIN, LOSS_UNIT, SMALLEST
from mlmon_sidecar.statistics.score_grid import STEPS as BINS_PER_ODDS
from mlmon_sidecar.store.postgres_sql import DAY_NS, EACH, rows_of, write, write_all
from mlmon_sidecar.store.sqlite_outcomes import SEGMENT, WHOLE

if TYPE_CHECKING:
    import psycopg

LARGEST = 1e150

CREATE_MOVED = """
CREATE TEMP TABLE IF NOT EXISTS moved (
    model text COLLATE "C", version text COLLATE "C", segment text COLLATE "C", day bigint, event_ns bigint,
    predicted text COLLATE "C", score double precision, observed_ns bigint, label text COLLATE "C", counted bigint,
    sign bigint, number double precision, off double precision, prediction_id text COLLATE "C", source text COLLATE "C",
    response_id text, trace_id text, span_id text) ON COMMIT DELETE ROWS"""
"""``number``: the label where it is the number that its prediction spoke of; ``off``: predicted minus that;
``response_id``: one that a language model's server gave its answer.

Emptied by the commit, which cuts its file: deleted rows of a temporary table stay in it, for nobody else can vacuum it.
"""

# One statement, and so of one moment: it sees every label as it was before. Arrays and OFFSET 0 leave the planner,
# which may have no statistics of the tables yet, no other way than to look up keys.
# A label that was pending may be matched after a later one was counted: that one stays.
MOVE = f"""
WITH waiting AS MATERIALIZED (
    SELECT label_id, prediction_id, observed_ns, label, counted, source FROM labels
    WHERE state = 'ready' ORDER BY label_id LIMIT %(limit)s),
known AS MATERIALIZED (
    SELECT waiting.*, before, before_observed_ns, before_label, before_counted,
        label_id = max(label_id) OVER (PARTITION BY prediction_id) AND label_id > coalesce(before, 0) AS newest
    FROM waiting LEFT JOIN LATERAL (
        SELECT l.label_id AS before, l.observed_ns AS before_observed_ns, l.label AS before_label,
            l.counted AS before_counted
        FROM labels l WHERE l.prediction_id = waiting.prediction_id AND l.state = 'joined' OFFSET 0
    ) AS earlier ON true),
signed AS (
    SELECT prediction_id, observed_ns, label, counted, source, 1 AS sign FROM known WHERE newest
    UNION ALL
    SELECT prediction_id, before_observed_ns, before_label, before_counted, '', -1 FROM known
    WHERE newest AND before IS NOT NULL),
joined AS (UPDATE labels SET state = 'joined' WHERE label_id = ANY(ARRAY(SELECT label_id FROM known WHERE newest))),
superseded AS (
    UPDATE labels SET state = 'superseded' WHERE label_id = ANY(ARRAY(
        SELECT CASE WHEN newest THEN before ELSE label_id END FROM known WHERE NOT newest OR before IS NOT NULL))),
kept AS (
    INSERT INTO moved
    SELECT model, version, segment, event_ns / {DAY_NS}, event_ns, predicted, score, observed_ns, label, counted, sign,
        number, greatest(-{LARGEST!r}, least({LARGEST!r}, score)) - number, prediction_id, source,
        CASE WHEN alias ~ '^(chatcmpl-|cmpl-|resp_)' THEN alias ELSE '' END, trace_id, span_id
    FROM (
        SELECT p.*, observed_ns, label, counted, sign, source,
            CASE WHEN p.predicted IS NULL AND p.score IS NOT NULL THEN number_in(label) END AS number
        FROM signed CROSS JOIN LATERAL (
            SELECT * FROM predictions WHERE predictions.prediction_id = signed.prediction_id OFFSET 0) AS p) AS found)
SELECT count(*), coalesce(array_agg(prediction_id) FILTER (WHERE NOT newest), '{{}}') FROM known"""  # noqa: S608

ACTUAL = f"""
CASE WHEN number IS NULL THEN label WHEN off = 0 THEN 'error {-LAST_ERROR}'
ELSE 'error ' || greatest({-LAST_ERROR}, least({LAST_ERROR},
    ceil(ln(abs(off)) / {math.log(2)!r}::double precision * {PER_OCTAVE} - {SLACK!r})))::int END"""
"""The actual class; of a number the bin of its error (``statistics.error_bins``)."""

SCORED = f"""
SELECT model, version, segment, day, label, score, counted, sign, (predicted = label)::int AS hit,
    CASE WHEN score <= 0 THEN {-LAST_BIN - 1} WHEN score >= 1 THEN {LAST_BIN + 1}
         ELSE greatest({-LAST_BIN}, least({LAST_BIN},
             round(ln(greatest(score, 1e-300) / (1 - score)) * {BINS_PER_ODDS})))::bigint END AS bin,
    -round(ln(greatest({SMALLEST!r}::double precision, score)) * {LOSS_UNIT})::bigint AS if_positive,
    -round(ln(greatest({SMALLEST!r}::double precision, 1 - score)) * {LOSS_UNIT})::bigint AS if_negative
FROM moved WHERE predicted IS NOT NULL AND score BETWEEN 0 AND 1"""  # noqa: S608 - constants only
"""Labelled scores with their bin, and their losses in units of 2**-20."""

_LOSSES = ("count", "log_positive", "log_negative", "score", "square", "hits", "log_hit", "hit_score")
_ERRORS = ("count", "error", "absolute", "squared", "actual", "actual_squared", "relative", "relative_count")


def _count_scores(tables: str, part: str, where: str) -> str:
    return f"""
INSERT INTO {tables}_scores AS known
SELECT model, {part}, day, label, bin, sum(sign), sum(sign * hit) FROM ({SCORED}) AS scored WHERE {where}
GROUP BY 1, 2, 3, 4, 5
ON CONFLICT (model, {part}, day, actual, bin) DO UPDATE
SET count = known.count + excluded.count, hits = known.hits + excluded.hits"""  # noqa: S608 - constants only


def _count_losses(tables: str, part: str, where: str) -> str:
    return f"""
INSERT INTO {tables}_losses AS known (model, {part}, day, actual, {", ".join(_LOSSES)})
SELECT model, {part}, day, label, sum(sign), sum(sign * if_positive), sum(sign * if_negative),
       sum(sign * round(score * {LOSS_UNIT})::bigint), sum(sign * round(score * score * {LOSS_UNIT})::bigint),
       sum(sign * hit), sum(sign * CASE WHEN hit = 1 THEN if_positive ELSE if_negative END),
       sum(sign * hit * round(score * {LOSS_UNIT})::bigint)
FROM ({SCORED}) AS scored WHERE {where} GROUP BY 1, 2, 3, 4
ON CONFLICT (model, {part}, day, actual) DO UPDATE
SET {", ".join(f"{name} = known.{name} + excluded.{name}" for name in _LOSSES)}"""  # noqa: S608 - constants only


ERRING = f"""
SELECT model, version, segment, day, counted, sign,
    CASE WHEN abs(off) >= {STEPS} * unit THEN sign(off)::bigint * {CLIP}
         ELSE round(off / unit * {STEPS})::bigint END AS error,
    CASE WHEN abs(number - center) >= {STEPS} * unit THEN sign(number - center)::bigint * {CLIP}
         ELSE round((number - center) / unit * {STEPS})::bigint END AS level,
    CASE WHEN number = 0 THEN 0 WHEN abs(off) >= {STEPS} * abs(number) THEN {STEPS * RELATIVE_UNIT}
         ELSE round(abs(off / number) * {RELATIVE_UNIT})::bigint END AS relative,
    (number <> 0)::int AS whole
FROM moved JOIN outcome_scales USING (model) WHERE number IS NOT NULL"""  # noqa: S608 - constants only
"""Labels that are numbers, with their errors in fixed point (``statistics.error_scale``)."""


def _count_errors(tables: str, part: str, where: str) -> str:
    return f"""
INSERT INTO {tables}_errors AS known (model, {part}, day, {", ".join(_ERRORS)})
SELECT model, {part}, day, sum(sign), sum(sign * error), sum(sign * abs(error)), sum(sign * error * error),
       sum(sign * level), sum(sign * level * level), sum(sign * relative), sum(sign * whole)
FROM ({ERRING}) AS erring WHERE {where} GROUP BY 1, 2, 3
ON CONFLICT (model, {part}, day) DO UPDATE
SET {", ".join(f"{name} = known.{name} + excluded.{name}" for name in _ERRORS)}"""  # noqa: S608 - constants only


_COUNT_SCORES = [count(*where) for count in (_count_scores, _count_losses) for where in (WHOLE, SEGMENT)]
_COUNT_ERRORS = [_count_errors(*where) for where in (WHOLE, SEGMENT)]


def move(db: psycopg.Connection[Any], limit: int) -> tuple[int, list[str]]:
    """Take at most ``limit`` labels that wait, oldest first, and look up what is to count of them, once in a
    transaction. Returns how many, and the predictions of those that a later label replaced before they counted."""
    write(db, CREATE_MOVED)
    taken, outrun = rows_of(db, MOVE, {"limit": limit})[0]
    return taken, outrun


def count(db: psycopg.Connection[Any]) -> None:
    """Scores and errors of the labels that move."""
    for statement in _COUNT_SCORES:
        write(db, statement)
    numbers: dict[str, list[float]] = {}
    for model, number in rows_of(
        db,
        """SELECT model, number FROM moved
           WHERE sign > 0 AND number IS NOT NULL AND model NOT IN (SELECT model FROM outcome_scales)""",
    ):
        numbers.setdefault(model, []).append(number)
    write_all(
        db,
        f"""INSERT INTO outcome_scales
            SELECT value ->> 0, (value ->> 1)::double precision, (value ->> 2)::double precision FROM {EACH}""",  # noqa: S608
        [(model, *scale_of(found)) for model, found in numbers.items()],
    )
    for statement in _COUNT_ERRORS:
        write(db, statement)


def scores(
    db: psycopg.Connection[Any], model: str, positive: str, first_day: int, last_day: int, part: Part | None = None
) -> LabelScores:
    """Of predictions made from ``first_day`` to ``last_day``, both included; of one part of them, or of all."""
    tables, where, bindings = _of(model, first_day, last_day, part)
    bindings["positive"] = positive
    cells = rows_of(
        db,
        f"""SELECT bin, sum(CASE WHEN actual = %(positive)s THEN 0 ELSE count END)::bigint,
               sum(CASE WHEN actual = %(positive)s THEN count ELSE 0 END)::bigint
           FROM {tables}_scores WHERE {where} GROUP BY bin ORDER BY bin""",  # noqa: S608 - constants only
        bindings,
    )
    losses = rows_of(
        db,
        f"""SELECT coalesce(sum(count), 0)::bigint,
                coalesce(sum(CASE WHEN actual = %(positive)s THEN log_positive ELSE log_negative END), 0)::bigint,
                coalesce(sum(CASE WHEN actual = %(positive)s THEN square - 2 * score + {LOSS_UNIT} * count
                                  ELSE square END), 0)::bigint
            FROM {tables}_losses WHERE {where}""",  # noqa: S608 - constants only
        bindings,
    )
    return LabelScores(tuple(cells), *losses[0])


def answer_scores(
    db: psycopg.Connection[Any], model: str, first_day: int, last_day: int, part: Part | None = None
) -> LabelScores:
    """As ``scores``; positive are rows whose predicted class was right."""
    tables, where, bindings = _of(model, first_day, last_day, part)
    cells = rows_of(
        db,
        f"""SELECT bin, sum(count - hits)::bigint, sum(hits)::bigint FROM {tables}_scores
           WHERE {where} GROUP BY bin ORDER BY bin""",  # noqa: S608 - constants only
        bindings,
    )
    losses = rows_of(
        db,
        f"""SELECT coalesce(sum(count), 0)::bigint, coalesce(sum(log_hit), 0)::bigint,
                coalesce(sum(square - 2 * hit_score + {LOSS_UNIT} * hits), 0)::bigint
            FROM {tables}_losses WHERE {where}""",  # noqa: S608 - constants only
        bindings,
    )
    return LabelScores(tuple(cells), *losses[0])


def errors(
    db: psycopg.Connection[Any], model: str, first_day: int, last_day: int, part: Part | None = None
) -> LabelErrors | None:
    """As ``scores``; None while no label of them was a number."""
    tables, where, bindings = _of(model, first_day, last_day, part)
    sums = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in _ERRORS)
    found = rows_of(
        db,
        f"""SELECT center, unit, {sums} FROM outcome_scales LEFT JOIN {tables}_errors USING (model)
            WHERE {where} GROUP BY model, center, unit""",  # noqa: S608 - constants only
        bindings,
    )
    return LabelErrors(found[0][0], found[0][1], tuple(found[0][2:])) if found else None


def _of(model: str, first_day: int, last_day: int, part: Part | None) -> tuple[str, str, dict[str, str | int]]:
    """(tables, condition, its bindings)."""
    tables, column, _ = SEGMENT if part is not None and part.kind == SEGMENT[1] else WHOLE
    bindings: dict[str, str | int] = {"model": model, "first": first_day, "last": last_day}
    where = "model = %(model)s AND day BETWEEN %(first)s AND %(last)s"
    if part is None:
        return tables, where, bindings
    return tables, f"{where} AND {column} = %(part)s", {**bindings, "part": part.name}
