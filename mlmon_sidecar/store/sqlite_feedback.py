"""Labels into SQLite: the tables that ``label_intake`` works on, inside one durable transaction; and what silence says.

Whole statements only (see ``sqlite_labels.write_all``), whatever the number of labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import orjson

from mlmon_sidecar.records import Assumption
from mlmon_sidecar.store.label_intake import KEYS_KEPT_NS, Found, Row
from mlmon_sidecar.store.sqlite_labels import RESOLVED, write_all
from mlmon_sidecar.store.sqlite_reading import one

ASSUMED = "assumed"  # the source of labels that silence is

# Of an alias that several models share the latest predictions tell; all of them may be a million.
_LOOK_UP = f"""
WITH item AS (
    SELECT key AS position, value ->> 0 AS id, value ->> 1 AS model, value ->> 2 AS observed_ns FROM json_each(?)),
found AS MATERIALIZED (SELECT position, id, model, observed_ns, {RESOLVED} AS prediction_id FROM item)
SELECT json_group_array(json_array(position, found.prediction_id, p.model, p.event_ns,
    json(iif(found.prediction_id IS NULL,
        (SELECT iif(l.observed_ns = found.observed_ns, json_array(label, weight), NULL) FROM labels l
         WHERE l.state = 'pending' AND l.id = found.id AND l.model = found.model ORDER BY label_id DESC LIMIT 1),
        (SELECT json_array(label, weight) FROM labels l
         WHERE l.prediction_id = found.prediction_id AND l.state IN ('ready', 'joined')
         ORDER BY label_id DESC LIMIT 1))),
    found.model = '' AND found.prediction_id <> found.id AND EXISTS (
        SELECT 1 FROM (SELECT q.model FROM predictions q INDEXED BY predictions_by_alias
            WHERE q.alias = found.id AND q.event_ns <= found.observed_ns ORDER BY q.event_ns DESC LIMIT 16) AS near
        WHERE near.model <> p.model),
    found.prediction_id IS NULL AND (
        EXISTS (SELECT 1 FROM predictions r WHERE r.prediction_id >= found.id || '/' AND r.prediction_id < found.id || '0')
        OR EXISTS (SELECT 1 FROM predictions r INDEXED BY predictions_by_alias
            WHERE r.alias >= found.id || '/' AND r.alias < found.id || '0'))))
FROM found LEFT JOIN predictions p ON p.prediction_id = found.prediction_id"""  # noqa: E501, S608 - constants only

_INSERT = """
INSERT INTO labels (id, model, prediction_id, label, observed_ns, received_ns, source, state, weight, counted)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
    value ->> 8, value ->> 9 FROM json_each(?)"""

_COUNT_SOURCES = """
INSERT INTO label_sources
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET taken = taken + excluded.taken, held = held + excluded.held"""

_COUNT_TOTALS = """
INSERT INTO label_totals SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET count = count + excluded.count"""

_ASSUME = """
INSERT INTO labels (id, model, prediction_id, label, observed_ns, received_ns, source, state, weight)
SELECT prediction_id, model, prediction_id, :label, event_ns + :after, :now, :source, 'ready', 1 FROM (
    SELECT prediction_id, model, predicted, event_ns FROM predictions INDEXED BY predictions_by_time
    WHERE model = :model AND event_ns > :from AND event_ns <= :through) AS p
WHERE NOT EXISTS (SELECT 1 FROM labels l WHERE l.prediction_id = p.prediction_id)
  AND coalesce(p.predicted, '') NOT IN (SELECT value FROM json_each(:censored))"""


class SqliteLabelTables:
    """Implements ``label_intake.LabelTables``."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def answered(self, key: str) -> tuple[str, str] | None:
        found: tuple[str, str] | None = self._db.execute(
            "SELECT digest, receipts FROM feedback_keys WHERE key = ?", (key,)
        ).fetchone()
        return found

    def keep_answer(self, key: str, digest: str, receipts: str, received_ns: int) -> None:
        self._db.execute("DELETE FROM feedback_keys WHERE received_ns < ?", (received_ns - KEYS_KEPT_NS,)).fetchall()
        self._db.execute(
            "INSERT INTO feedback_keys VALUES (?, ?, ?, ?)", (key, digest, receipts, received_ns)
        ).fetchall()

    def look_up(self, items: Sequence[tuple[str, str, int]]) -> dict[int, Found]:
        rows = orjson.loads(one(self._db, _LOOK_UP, (orjson.dumps(items).decode(),)))
        return {
            position: Found(prediction, model, event_ns, said and tuple(said), bool(several), bool(batch))
            for position, prediction, model, event_ns, said, several, batch in rows
        }

    def insert(self, rows: Sequence[Row]) -> None:
        write_all(self._db, _INSERT, rows)

    def forget_sources(self, model: str, before_day: int) -> None:
        self._db.execute("DELETE FROM label_sources WHERE model = ? AND day < ?", (model, before_day)).fetchall()

    def sources(self, model: str, day: int) -> list[tuple[str, str, bool, int, int]]:
        rows = one(
            self._db,
            """SELECT json_group_array(json_array(source, label, today, taken, held)) FROM (
                   SELECT source, label, day = :day AS today, sum(taken) AS taken, sum(held) AS held
                   FROM label_sources WHERE model = :model GROUP BY 1, 2, 3)""",
            {"day": day, "model": model},
        )
        return [tuple(row) for row in orjson.loads(rows)]

    def count_sources(self, rows: Sequence[tuple[str, str, int, str, int, int]]) -> None:
        write_all(self._db, _COUNT_SOURCES, rows)

    def count_totals(self, rows: Sequence[tuple[str, str, int]]) -> None:
        write_all(self._db, _COUNT_TOTALS, rows)


def release(db: apsw.Connection, model: str, sources: Sequence[str]) -> int:
    """Labels in quarantine from sources that are trusted now wait for their join again. Returns how many."""
    db.execute(
        """UPDATE labels SET state = iif(prediction_id IS NULL, 'pending', 'ready')
           WHERE state = 'quarantined' AND source IN (SELECT value FROM json_each(:sources)) AND :model = coalesce(
               (SELECT p.model FROM predictions p WHERE p.prediction_id = labels.prediction_id), model)""",
        {"model": model, "sources": orjson.dumps(list(sources)).decode()},
    ).fetchall()
    return int(db.changes())


def assumed_through(model: str) -> str:
    """Where it is kept how far silence was heard."""
    return f"assumed:{model}"


def assume(
    db: apsw.Connection, model: str, assumption: Assumption, watermark_ns: int, now_ns: int, limit: int
) -> tuple[int, bool]:
    """Silence becomes a label, oldest predictions first. Returns how many became one, and whether more wait.

    Where it goes on is kept with the labels, per model: at most ``limit`` predictions are looked at in one call.
    """
    through = watermark_ns - assumption.after_ns
    place = assumed_through(model)
    start = int(one(db, "SELECT value FROM meta WHERE key = ?", (place,)) or -1)
    last = one(
        db,
        """SELECT max(event_ns) FROM (SELECT event_ns FROM predictions INDEXED BY predictions_by_time
           WHERE model = ? AND event_ns > ? AND event_ns <= ? ORDER BY event_ns LIMIT ?)""",
        (model, start, through, limit),
    )
    if last is None:
        return 0, False
    db.execute(
        _ASSUME,
        {"label": assumption.label, "after": assumption.after_ns, "now": now_ns, "source": ASSUMED, "model": model,
         "from": start, "through": last, "censored": orjson.dumps(list(assumption.censored)).decode()},
    ).fetchall()  # fmt: skip
    assumed = int(db.changes())
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (place, str(last))).fetchall()
    return assumed, True
