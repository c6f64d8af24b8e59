"""Labels on SQLite: taken in by ``sqlite_feedback``, joined with their predictions by the hub alone.

A label names a prediction by the minted id or by the caller's alias; an alias means the latest prediction before the
label was observed. Counts are signed: a correction takes the earlier label out of the cell it was counted in.

Everything goes by whole statements (see ``write_all``), whatever the number of labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from mlmon_sidecar.records import LabelledCompletion, OutcomeCell
from mlmon_sidecar.store import sqlite_outcomes, sqlite_weights
from mlmon_sidecar.store.sqlite_outcomes import ACTUAL
from mlmon_sidecar.store.sqlite_reading import one

DAY_NS = 86_400 * 1_000_000_000

RESOLVED = """coalesce(
    (SELECT p.prediction_id FROM predictions p
     WHERE p.prediction_id = item.id AND (item.model = '' OR p.model = item.model)),
    (SELECT p.prediction_id FROM predictions p INDEXED BY predictions_by_alias
     WHERE p.alias = item.id AND p.event_ns <= item.observed_ns AND (item.model = '' OR p.model = item.model)
     ORDER BY p.event_ns DESC LIMIT 1))"""
"""The prediction that a label (item) names; NULL: none yet."""

_MATCH_PENDING = f"""
UPDATE labels SET state = 'ready', prediction_id = found.prediction_id FROM (
    SELECT label_id, {RESOLVED} AS prediction_id FROM (
        SELECT label_id, id, model, observed_ns FROM labels
        WHERE state = 'pending' AND label_id > :after ORDER BY label_id LIMIT :limit) AS item) AS found
WHERE labels.label_id = found.label_id AND found.prediction_id IS NOT NULL"""  # noqa: S608 - constants only

_COUNT = f"""
INSERT INTO outcome_panes
SELECT model, version, day, max(0, (observed_ns - event_ns) / :day), coalesce(predicted, ''),
       {ACTUAL}, sum(sign), 0
FROM temp.moved WHERE true
GROUP BY 1, 2, 3, 4, 5, 6
ON CONFLICT DO UPDATE SET count = count + excluded.count"""  # noqa: S608 - constants only


_TOTAL = """
INSERT INTO label_totals
SELECT model, status, sum(labels)
FROM (
    SELECT model, 'matched' AS status, sign AS labels FROM temp.moved
    UNION ALL
    SELECT model, 'corrected', 1 FROM temp.moved WHERE sign < 0
    UNION ALL
    SELECT p.model, 'corrected', 1 FROM labels JOIN predictions p USING (prediction_id)
    WHERE label_id IN (SELECT value FROM json_each(:outrun))
) WHERE true
GROUP BY 1, 2
ON CONFLICT DO UPDATE SET count = count + excluded.count"""
"""``:outrun``: labels that a later one replaced before they were counted."""

_JUDGED = """
UPDATE outcome_panes SET judged = judged + (item.value ->> 6) FROM json_each(?) AS item
WHERE model = item.value ->> 0 AND version = item.value ->> 1 AND day = item.value ->> 2 AND age = item.value ->> 3
  AND predicted = item.value ->> 4 AND actual = item.value ->> 5"""


# The ids that language models' servers give their answers: chatcmpl-..., cmpl-..., resp_...
_COMPLETIONS = """
SELECT json_group_array(json_array(
    model, version, response_id, label, source, observed_ns, trace_id, span_id, prediction_id, predicted))
FROM (
    SELECT p.*, l.label, l.source, l.observed_ns, CASE
        WHEN p.alias GLOB 'chatcmpl-*' OR p.alias GLOB 'cmpl-*' OR p.alias GLOB 'resp_*' THEN p.alias ELSE '' END
        AS response_id
    FROM labels l JOIN predictions p USING (prediction_id)
    WHERE l.label_id IN (SELECT value FROM json_each(?))
) WHERE response_id <> '' OR trace_id <> ''"""


class Joined(NamedTuple):
    """What one call of ``join`` did."""

    labels: int  # taken in: counted, or replaced by a later one
    looked_at: int  # the last pending label looked at, where the next call goes on; 0: begin again
    completions: Sequence[LabelledCompletion] = ()  # among the counted


def join(db: apsw.Connection, limit: int, after: int) -> Joined:
    """Count at most ``limit`` waiting labels into outcome panes, and look at as many pending ones beyond ``after``."""
    last = one(
        db,
        """SELECT max(label_id) FROM (SELECT label_id FROM labels
           WHERE state = 'pending' AND label_id > ? ORDER BY label_id LIMIT ?)""",
        (after, limit),
    )
    if last is not None:
        db.execute(_MATCH_PENDING, {"after": after, "limit": limit}).fetchall()
    ready = orjson.loads(
        one(
            db,
            """SELECT json_group_array(json_array(label_id, prediction_id, EXISTS (
                   SELECT 1 FROM labels later WHERE later.prediction_id = waiting.prediction_id
                   AND later.state = 'joined' AND later.label_id > waiting.label_id))) FROM (
                   SELECT label_id, prediction_id FROM labels WHERE state = 'ready' ORDER BY label_id LIMIT ?
               ) waiting""",
            (limit,),
        )
    )
    completions: list[LabelledCompletion] = []
    if ready:
        # A label that was pending may be matched after a later one was counted: that one stays.
        newest = {prediction_id: label_id for label_id, prediction_id, outdated in ready if not outdated}
        counted = orjson.dumps(list(newest.values())).decode()
        predictions = orjson.dumps(list(newest)).decode()
        sqlite_outcomes.move(db, DAY_NS, counted, predictions)
        db.execute(_COUNT, {"day": DAY_NS}).fetchall()
        sqlite_outcomes.count(db)
        sqlite_weights.count(db, DAY_NS)
        completions = [LabelledCompletion(*found) for found in orjson.loads(one(db, _COMPLETIONS, (counted,)))]
        outrun = {item[0] for item in ready}.difference(newest.values())
        db.execute(_TOTAL, {"outrun": orjson.dumps(sorted(outrun)).decode()}).fetchall()
        db.execute(
            """UPDATE labels SET state = 'superseded'
               WHERE state = 'joined' AND prediction_id IN (SELECT value FROM json_each(?))""",
            (predictions,),
        ).fetchall()
        for state, label_ids in (("superseded", [item[0] for item in ready]), ("joined", list(newest.values()))):
            db.execute(
                "UPDATE labels SET state = ? WHERE label_id IN (SELECT value FROM json_each(?))",
                (state, orjson.dumps(label_ids).decode()),
            ).fetchall()
    return Joined(len(ready), last or 0, completions)


def cells(db: apsw.Connection, model: str, first_day: int, last_day: int) -> list[OutcomeCell]:
    """Outcome cells of predictions made from ``first_day`` to ``last_day``, both included."""
    rows = one(
        db,
        """SELECT json_group_array(json_array(version, day, age, predicted, actual, count)) FROM (
               SELECT * FROM outcome_panes WHERE model = ? AND day BETWEEN ? AND ? AND count <> 0
               ORDER BY version, day, age, predicted, actual)""",
        (model, first_day, last_day),
    )
    return [OutcomeCell(*row) for row in orjson.loads(rows)]


def slices(db: apsw.Connection, model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]:
    """(prediction day, age, labels) of predictions made from ``first_day`` to ``last_day``, both included."""
    rows = one(
        db,
        """SELECT json_group_array(json_array(day, age, labels)) FROM (
               SELECT day, age, sum(count) AS labels FROM outcome_panes
               WHERE model = ? AND day BETWEEN ? AND ? GROUP BY day, age ORDER BY day, age)""",
        (model, first_day, last_day),
    )
    return [(day, age, labels) for day, age, labels in orjson.loads(rows)]


def unjudged(db: apsw.Connection, model: str, closed_by: int) -> list[OutcomeCell]:
    """What slices that close by Unix day ``closed_by`` hold and the quality detector has not taken; signed."""
    rows = one(
        db,
        """SELECT json_group_array(json_array(version, day, age, predicted, actual, count - judged)) FROM (
               SELECT * FROM outcome_panes WHERE model = ? AND day + age + 2 <= ? AND count <> judged
               ORDER BY version, day, age, predicted, actual)""",
        (model, closed_by),
    )
    return [OutcomeCell(*row) for row in orjson.loads(rows)]


def judge(db: apsw.Connection, model: str, cells: Sequence[OutcomeCell]) -> None:
    """The quality detector has taken these counts."""
    write_all(db, _JUDGED, [(model, *cell) for cell in cells])


def write_all(db: apsw.Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """All rows in one statement, as one JSON array.

    Every step of a statement gives up the interpreter lock, and beside a busy event loop each return costs up to its
    switch interval (5 ms): row by row, a seal of 64 minutes waited a second and more in an embedded hub.
    """
    if rows:
        db.execute(sql, (orjson.dumps(rows).decode(),)).fetchall()
