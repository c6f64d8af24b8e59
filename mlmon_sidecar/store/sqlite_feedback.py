"""Labels into SQLite: what comes in is judged, answered and inserted inside one durable transaction.

Whole statements only (see ``sqlite_labels.write_all``), whatever the number of labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import apsw
import orjson

from mlmon_sidecar.errors import FeedbackError
from mlmon_sidecar.records import LABEL_UNIT, Assumption, Label, LabelReceipt, LabelStatus
from mlmon_sidecar.store import label_rules
from mlmon_sidecar.store.label_rules import USUAL_DAYS, Rules, Said
from mlmon_sidecar.store.sqlite_labels import DAY_NS, RESOLVED, write_all
from mlmon_sidecar.store.sqlite_reading import one

KEY_DIGITS = 32  # of a key, and as many of the digest behind it
KEYS_KEPT_NS = 2 * DAY_NS
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


class _Found(NamedTuple):
    """What the store knows about one item."""

    prediction_id: str | None
    model: str | None  # the prediction's
    event_ns: int | None
    said: tuple[str, float] | None  # label and weight, by the newest label that counts
    several_models: bool
    batch: bool


def commit(
    db: apsw.Connection, labels: Sequence[Label], received_ns: int, rules: Rules, key: str = ""
) -> list[LabelReceipt]:
    """Insert what is new; answer for every item in order. Runs inside a durable transaction.

    Args:
        key: "" or ``KEY_DIGITS`` of the request's key and as many of a digest of its content.

    Raises ``FeedbackError`` (``key_reused``) for a key that came with another content.
    """
    if key:
        before = _answered(db, labels, key)
        if before is not None:
            return before
    receipts = _Intake(db, received_ns, rules).take(labels)
    if key:
        db.execute("DELETE FROM feedback_keys WHERE received_ns < ?", (received_ns - KEYS_KEPT_NS,)).fetchall()
        packed = orjson.dumps([(receipt.status, receipt.reason) for receipt in receipts]).decode()
        row = (key[:KEY_DIGITS], key[KEY_DIGITS:], packed, received_ns)
        db.execute("INSERT INTO feedback_keys VALUES (?, ?, ?, ?)", row).fetchall()
    return receipts


def _answered(db: apsw.Connection, labels: Sequence[Label], key: str) -> list[LabelReceipt] | None:
    found = db.execute("SELECT digest, receipts FROM feedback_keys WHERE key = ?", (key[:KEY_DIGITS],)).fetchone()
    if found is None:
        return None
    digest, packed = found
    said = orjson.loads(packed)
    if digest != key[KEY_DIGITS:] or len(said) != len(labels):
        raise FeedbackError(
            "the idempotency key came before with another content",
            code="key_reused",
            hint="Give every request a key of its own, and the same one only to its repetitions.",
        )
    return [
        LabelReceipt(label.id, LabelStatus(status), reason)
        for label, (status, reason) in zip(labels, said, strict=True)
    ]


class _Intake:
    """One transaction's labels."""

    def __init__(self, db: apsw.Connection, received_ns: int, rules: Rules) -> None:
        self._db = db
        self._received_ns = received_ns
        self._rules = rules
        self._known: dict[tuple[str, str], tuple[tuple[str, float] | None, int]] = {}  # said before in this request
        self._rows: list[list[object]] = []
        self._by_source: dict[tuple[str, str], list[tuple[int, int]]] = {}  # (model, source): receipt and row

    def take(self, labels: Sequence[Label]) -> list[LabelReceipt]:
        items = orjson.dumps([(label.id, label.model, label.observed_ns) for label in labels]).decode()
        found: list[_Found] = [_Found(None, None, None, None, False, False)] * len(labels)
        for position, prediction, model, event_ns, said, several, batch in orjson.loads(
            one(self._db, _LOOK_UP, (items,))
        ):
            found[position] = _Found(prediction, model, event_ns, said and tuple(said), bool(several), bool(batch))
        receipts = [self._take(position, label, found[position]) for position, label in enumerate(labels)]
        self._quarantine(receipts)
        write_all(self._db, _INSERT, [tuple(row) for row in self._rows])
        return receipts

    def _take(self, position: int, label: Label, found: _Found) -> LabelReceipt:
        if found.several_models or found.batch:
            reason = label_rules.SEVERAL_MODELS if found.several_models else label_rules.BATCH
            return LabelReceipt(label.id, LabelStatus.AMBIGUOUS, reason)
        model = found.model or label.model
        rule = self._rules.get(model)
        refused = label_rules.refused(label, rule, found.event_ns, self._received_ns)
        if refused is not None:
            return LabelReceipt(label.id, *refused)
        prediction_id = found.prediction_id
        # While nobody knows which prediction an alias means, another time of observation may mean another one.
        when = label.observed_ns if prediction_id is None else 0
        subject = ("", prediction_id) if prediction_id is not None else (label.model + "\0", label.id)
        said, said_of = self._known.get(subject, (found.said, when))
        now = label.label, label.weight
        if (said, said_of) == (now, when):
            return LabelReceipt(label.id, LabelStatus.DUPLICATE)
        self._known[subject] = now, when
        if rule is not None and rule.classes and label.source not in rule.trusted:
            self._by_source.setdefault((model, label.source), []).append((position, len(self._rows)))
        state = "pending" if prediction_id is None else "ready"
        self._rows.append(
            [label.id, label.model, prediction_id, label.label, label.observed_ns, self._received_ns, label.source,
             state, label.weight, max(1, round(label.weight * LABEL_UNIT))]
        )  # fmt: skip
        if prediction_id is None:
            return LabelReceipt(label.id, LabelStatus.PENDING, label_rules.NOT_HERE)
        return LabelReceipt(label.id, LabelStatus.ACCEPTED if said is None else LabelStatus.CORRECTED)

    # ------------------------------------------------------------ sources

    def _quarantine(self, receipts: list[LabelReceipt]) -> None:
        """Marks what strange sources say, and counts what all of them say."""
        said: dict[str, dict[str, Said]] = {}
        counted: Counter[tuple[str, str, str, bool]] = Counter()
        for (model, source), places in self._by_source.items():
            if model not in said:
                said[model] = self._said(model)
            by_source = said[model]
            name = label_rules.watched_name(source, by_source)
            words = by_source.setdefault(name, Said())
            words.recent.update(str(self._rows[row][3]) for _, row in places)
            strange = label_rules.strange_classes(name, by_source)
            for position, row in places:
                label = str(self._rows[row][3])
                held = label in strange
                counted[model, name, label, held] += 1
                if held:
                    self._rows[row][7] = "quarantined"
                    receipts[position] = receipts[position]._replace(
                        status=LabelStatus.QUARANTINED, reason=label_rules.STRANGE
                    )
        day = self._received_ns // DAY_NS
        write_all(
            self._db,
            _COUNT_SOURCES,
            [(model, name, day, label, n * (not held), n * held) for (model, name, label, held), n in counted.items()],
        )
        totals: Counter[str] = Counter()
        for (model, _, _, held), n in counted.items():
            totals[model] += n * held
        write_all(self._db, _COUNT_TOTALS, [(model, "quarantined", n) for model, n in totals.items() if n])

    def _said(self, model: str) -> dict[str, Said]:
        oldest = self._received_ns // DAY_NS - USUAL_DAYS
        self._db.execute("DELETE FROM label_sources WHERE model = ? AND day < ?", (model, oldest)).fetchall()
        rows = one(
            self._db,
            """SELECT json_group_array(json_array(source, label, today, taken, held)) FROM (
                   SELECT source, label, day = :day AS today, sum(taken) AS taken, sum(held) AS held
                   FROM label_sources WHERE model = :model GROUP BY 1, 2, 3)""",
            {"day": self._received_ns // DAY_NS, "model": model},
        )
        said: dict[str, Said] = {}
        for source, label, today, taken, held in orjson.loads(rows):
            words = said.setdefault(source, Said())
            if today:
                words.recent[label] += taken + held
            else:
                words.usual[label] += taken
        return said


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
