"""Labels into PostgreSQL: the tables that ``label_intake`` works on, inside one transaction; and what silence says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlmon_sidecar.records import LABEL_UNIT, Assumption
from mlmon_sidecar.store.label_intake import KEYS_KEPT_NS, Found, Row
from mlmon_sidecar.store.postgres_sql import EACH, clean, columns, packed_columns, rows_of, write, write_all
from mlmon_sidecar.store.sqlite_feedback import ASSUMED, assumed_through

if TYPE_CHECKING:
    import psycopg

RESOLVED = """coalesce(
    (SELECT p.prediction_id FROM predictions p
     WHERE p.prediction_id = item.id AND (item.model = '' OR p.model = item.model)),
    (SELECT p.prediction_id FROM predictions p
     WHERE p.alias = item.id AND p.event_ns <= item.observed_ns AND (item.model = '' OR p.model = item.model)
     ORDER BY p.event_ns DESC LIMIT 1))"""
"""The prediction that a label (item) names; NULL: none yet."""

# Of an alias that several models share the latest predictions tell; all of them may be a million. "+ 0": so that nobody
# walks the labels from the newest one, as the planner would for a table that it has no statistics of yet.
LOOK_UP = f"""
WITH item AS MATERIALIZED (
    SELECT n - 1 AS position, c0 AS id, c1 AS model, c2::bigint AS observed_ns FROM {columns(3)}),
found AS MATERIALIZED (SELECT position, id, model, observed_ns, {RESOLVED} AS prediction_id FROM item)
SELECT position, found.prediction_id, p.model, p.event_ns,
    CASE WHEN found.prediction_id IS NULL THEN
        (SELECT CASE WHEN l.observed_ns = found.observed_ns THEN json_build_array(l.label, l.weight) END FROM labels l
         WHERE l.state = 'pending' AND l.id = found.id AND l.model = found.model ORDER BY l.label_id + 0 DESC LIMIT 1)
    ELSE
        (SELECT json_build_array(l.label, l.weight) FROM labels l
         WHERE l.prediction_id = found.prediction_id AND l.state IN ('ready', 'joined')
         ORDER BY l.label_id + 0 DESC LIMIT 1)
    END,
    found.model = '' AND found.prediction_id <> found.id AND EXISTS (
        SELECT 1 FROM (SELECT q.model FROM predictions q
            WHERE q.alias = found.id AND q.event_ns <= found.observed_ns ORDER BY q.event_ns DESC LIMIT 16) AS near
        WHERE near.model <> p.model),
    found.prediction_id IS NULL AND (
        EXISTS (SELECT 1 FROM predictions r WHERE r.prediction_id >= found.id || '/' AND r.prediction_id < found.id || '0')
        OR EXISTS (SELECT 1 FROM predictions r WHERE r.alias >= found.id || '/' AND r.alias < found.id || '0'))
FROM found LEFT JOIN predictions p ON p.prediction_id = found.prediction_id"""  # noqa: E501, S608 - constants only

_INSERT = f"""
INSERT INTO labels (id, model, prediction_id, label, observed_ns, received_ns, source, state, weight, counted)
SELECT c0, c1, c2, c3, c4::bigint, c5::bigint, c6, c7, c8::double precision, c9::bigint
FROM {columns(10)} ORDER BY n"""  # noqa: S608 - constants only

_COUNT_SOURCES = f"""
INSERT INTO label_sources
SELECT value ->> 0, value ->> 1, (value ->> 2)::bigint, value ->> 3, (value ->> 4)::bigint, (value ->> 5)::bigint
FROM {EACH}
ON CONFLICT (model, source, day, label) DO UPDATE
SET taken = label_sources.taken + excluded.taken, held = label_sources.held + excluded.held"""  # noqa: S608

_COUNT_TOTALS = f"""
INSERT INTO label_totals SELECT value ->> 0, value ->> 1, (value ->> 2)::bigint FROM {EACH}
ON CONFLICT (model, status) DO UPDATE SET count = label_totals.count + excluded.count"""  # noqa: S608

_ASSUME = f"""
INSERT INTO labels (id, model, prediction_id, label, observed_ns, received_ns, source, state, weight, counted)
SELECT prediction_id, model, prediction_id, %(label)s, event_ns + %(after)s, %(now)s, %(source)s, 'ready', 1,
    {LABEL_UNIT}
FROM predictions p
WHERE model = %(model)s AND event_ns > %(from)s AND event_ns <= %(through)s
  AND NOT EXISTS (SELECT 1 FROM labels l WHERE l.prediction_id = p.prediction_id)
  AND coalesce(predicted, '') <> ALL (%(censored)s::text[])
ORDER BY event_ns"""  # noqa: S608 - constants only


class PostgresLabelTables:
    """Implements ``label_intake.LabelTables``."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db

    def answered(self, key: str) -> tuple[str, str] | None:
        found = rows_of(self._db, "SELECT digest, receipts FROM feedback_keys WHERE key = %s", (key,))
        return found[0] if found else None

    def keep_answer(self, key: str, digest: str, receipts: str, received_ns: int) -> None:
        write(self._db, "DELETE FROM feedback_keys WHERE received_ns < %s", (received_ns - KEYS_KEPT_NS,))
        write(self._db, "INSERT INTO feedback_keys VALUES (%s, %s, %s, %s)", (key, digest, receipts, received_ns))

    def look_up(self, items: Sequence[tuple[str, str, int]]) -> dict[int, Found]:
        if not items:
            return {}
        return {
            position: Found(prediction, model, event_ns, said and (said[0], said[1]), bool(several), bool(batch))
            for position, prediction, model, event_ns, said, several, batch in rows_of(
                self._db, LOOK_UP, packed_columns(items)
            )
        }

    def insert(self, rows: Sequence[Row]) -> None:
        write(self._db, _INSERT, packed_columns(rows))

    def forget_sources(self, model: str, before_day: int) -> None:
        write(self._db, "DELETE FROM label_sources WHERE model = %s AND day < %s", (clean(model), before_day))

    def sources(self, model: str, day: int) -> list[tuple[str, str, bool, int, int]]:
        return rows_of(
            self._db,
            """SELECT source, label, day = %s, sum(taken)::bigint, sum(held)::bigint FROM label_sources
               WHERE model = %s GROUP BY 1, 2, 3""",
            (day, clean(model)),
        )

    def count_sources(self, rows: Sequence[tuple[str, str, int, str, int, int]]) -> None:
        write_all(self._db, _COUNT_SOURCES, rows)

    def count_totals(self, rows: Sequence[tuple[str, str, int]]) -> None:
        write_all(self._db, _COUNT_TOTALS, rows)


def release(db: psycopg.Connection[Any], model: str, sources: Sequence[str]) -> int:
    """Labels in quarantine from sources that are trusted now wait for their join again. Returns how many."""
    return write(
        db,
        """UPDATE labels SET state = CASE WHEN prediction_id IS NULL THEN 'pending' ELSE 'ready' END
           WHERE state = 'quarantined' AND source = ANY(%s) AND %s = coalesce(
               (SELECT p.model FROM predictions p WHERE p.prediction_id = labels.prediction_id), model)""",
        ([clean(source) for source in sources], clean(model)),
    )


def assume(
    db: psycopg.Connection[Any], model: str, assumption: Assumption, watermark_ns: int, now_ns: int, limit: int
) -> tuple[int, bool]:
    """Silence becomes a label, oldest predictions first. Returns how many became one, and whether more wait.

    Where it goes on is kept with the labels, per model: at most ``limit`` predictions are looked at in one call.
    """
    through, place = watermark_ns - assumption.after_ns, assumed_through(model)
    kept = rows_of(db, "SELECT value FROM meta WHERE key = %s", (place,))
    start = int(kept[0][0]) if kept else -1
    last = rows_of(
        db,
        """SELECT max(event_ns) FROM (SELECT event_ns FROM predictions
           WHERE model = %s AND event_ns > %s AND event_ns <= %s ORDER BY event_ns LIMIT %s) AS next""",
        (model, start, through, limit),
    )[0][0]
    if last is None:
        return 0, False
    assumed = write(
        db,
        _ASSUME,
        {"label": assumption.label, "after": assumption.after_ns, "now": now_ns, "source": ASSUMED, "model": model,
         "from": start, "through": last, "censored": list(assumption.censored)},
    )  # fmt: skip
    keep_text(db, place, str(last))
    return assumed, True


def keep_text(db: psycopg.Connection[Any], key: str, text: str) -> None:
    """One value of ``meta``."""
    write(
        db,
        "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (clean(key), clean(text)),
    )
