"""Labels on PostgreSQL: joined with their predictions by the hub alone, in whole statements, as ``sqlite_labels`` does.

Counts are signed: a correction takes the earlier label out of the cell it was counted in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.records import LabelledCompletion, OutcomeCell
from mlmon_sidecar.store import postgres_outcomes, postgres_weights
from mlmon_sidecar.store.postgres_feedback import RESOLVED
from mlmon_sidecar.store.postgres_outcomes import ACTUAL
from mlmon_sidecar.store.postgres_sql import DAY_NS, EACH, rows_of, write, write_all
from mlmon_sidecar.store.sqlite_labels import Joined

if TYPE_CHECKING:
    import psycopg

_MATCH_PENDING = f"""
WITH found AS MATERIALIZED (
    SELECT label_id, {RESOLVED} AS prediction_id FROM (
        SELECT label_id, id, model, observed_ns FROM labels
        WHERE state = 'pending' AND label_id > %(after)s ORDER BY label_id LIMIT %(limit)s) AS item)
UPDATE labels SET state = 'ready', prediction_id = found.prediction_id FROM found
WHERE labels.label_id = found.label_id AND found.prediction_id IS NOT NULL"""  # noqa: S608 - constants only

_COUNT = f"""
INSERT INTO outcome_panes
SELECT model, version, day, greatest(0, (observed_ns - event_ns) / {DAY_NS}), coalesce(predicted, ''),
       {ACTUAL}, sum(sign), 0
FROM moved GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT (model, version, day, age, predicted, actual) DO UPDATE
SET count = outcome_panes.count + excluded.count"""  # noqa: S608 - constants only

_TOTAL = """
INSERT INTO label_totals
SELECT model, status, sum(labels) FROM (
    SELECT model, 'matched' AS status, sign AS labels FROM moved
    UNION ALL
    SELECT model, 'corrected', 1 FROM moved WHERE sign < 0
    UNION ALL
    SELECT p.model, 'corrected', 1 FROM unnest(%s::text[]) AS outrun(prediction_id)
    JOIN predictions p USING (prediction_id)
) AS said GROUP BY 1, 2
ON CONFLICT (model, status) DO UPDATE SET count = label_totals.count + excluded.count"""

_JUDGED = f"""
UPDATE outcome_panes SET judged = judged + (item.value ->> 6)::bigint
FROM (SELECT value FROM {EACH}) AS item
WHERE model = item.value ->> 0 AND version = item.value ->> 1 AND day = (item.value ->> 2)::bigint
  AND age = (item.value ->> 3)::bigint AND predicted = item.value ->> 4 AND actual = item.value ->> 5"""  # noqa: S608

_COMPLETIONS = """
SELECT model, version, response_id, label, source, observed_ns, trace_id, span_id, prediction_id, predicted
FROM moved WHERE sign > 0 AND (response_id <> '' OR trace_id <> '')"""


def join(db: psycopg.Connection[Any], limit: int, after: int) -> Joined:
    """Count at most ``limit`` waiting labels into outcome panes, and look at as many pending ones beyond ``after``."""
    last = rows_of(
        db,
        """SELECT max(label_id) FROM (SELECT label_id FROM labels
           WHERE state = 'pending' AND label_id > %s ORDER BY label_id LIMIT %s) AS next""",
        (after, limit),
    )[0][0]
    if last is not None:
        write(db, _MATCH_PENDING, {"after": after, "limit": limit})
    taken, outrun = postgres_outcomes.move(db, limit)
    completions: list[LabelledCompletion] = []
    if taken:
        write(db, _COUNT)
        postgres_outcomes.count(db)
        postgres_weights.count(db)
        write(db, _TOTAL, (outrun,))
        completions = [LabelledCompletion(*found) for found in rows_of(db, _COMPLETIONS)]
    return Joined(taken, last or 0, completions)


def cells(db: psycopg.Connection[Any], model: str, first_day: int, last_day: int) -> list[OutcomeCell]:
    """Outcome cells of predictions made from ``first_day`` to ``last_day``, both included."""
    return _cells(db, "count", "day BETWEEN %s AND %s AND count <> 0", (model, first_day, last_day))


def unjudged(db: psycopg.Connection[Any], model: str, closed_by: int) -> list[OutcomeCell]:
    """What slices that close by Unix day ``closed_by`` hold and the quality detector has not taken; signed."""
    return _cells(db, "count - judged", "day + age + 2 <= %s AND count <> judged", (model, closed_by))


def _cells(db: psycopg.Connection[Any], count: str, where: str, bindings: tuple[Any, ...]) -> list[OutcomeCell]:
    rows = rows_of(
        db,
        f"""SELECT version, day, age, predicted, actual, {count} FROM outcome_panes WHERE model = %s AND {where}
            ORDER BY version, day, age, predicted, actual""",  # noqa: S608 - constants only
        bindings,
    )
    return [OutcomeCell(*row) for row in rows]


def slices(db: psycopg.Connection[Any], model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]:
    """(prediction day, age, labels) of predictions made from ``first_day`` to ``last_day``, both included."""
    return rows_of(
        db,
        """SELECT day, age, sum(count)::bigint FROM outcome_panes WHERE model = %s AND day BETWEEN %s AND %s
           GROUP BY day, age ORDER BY day, age""",
        (model, first_day, last_day),
    )


def judge(db: psycopg.Connection[Any], model: str, cells_: Sequence[OutcomeCell]) -> None:
    """The quality detector has taken these counts."""
    write_all(db, _JUDGED, [(model, *cell) for cell in cells_])
