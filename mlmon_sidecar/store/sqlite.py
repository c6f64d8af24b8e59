"""The store on SQLite, through apsw (which carries a current library; see docs on the WAL race of older ones).

One connection writes and one reads; both are guarded by a lock each, so any thread of the hub may call. Every write is
one ``BEGIN IMMEDIATE`` transaction that first checks the fence: a hub that lost its lock cannot write.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
import orjson

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.records import (
    MINUTE_NS,
    Assumption,
    Erased,
    Flush,
    FlushReceipt,
    FlushStatus,
    HeldBaseline,
    Incident,
    Label,
    LabelErrors,
    LabelledCompletion,
    LabelReceipt,
    LabelScores,
    Losses,
    OutcomeCell,
    Pane,
    PaneKey,
    Part,
    SegmentCell,
    WeightedCell,
)
from mlmon_sidecar.statistics.packing import decode_samples, decode_vector, encode_samples, encode_vector
from mlmon_sidecar.store import (
    label_intake,
    sqlite_baselines,
    sqlite_error_weights,
    sqlite_feedback,
    sqlite_labels,
    sqlite_outcomes,
    sqlite_retention,
    sqlite_weights,
)
from mlmon_sidecar.store.contract import Keep, ModelState, Point, RecorderRow, SampledRow, Seal, StoredPane
from mlmon_sidecar.store.label_rules import Rules
from mlmon_sidecar.store.losses import losses_in
from mlmon_sidecar.store.rows import incident_of, incident_row, json_text, summed_into
from mlmon_sidecar.store.sqlite_feedback import SqliteLabelTables
from mlmon_sidecar.store.sqlite_labels import write_all
from mlmon_sidecar.store.sqlite_predictions import insert_predictions
from mlmon_sidecar.store.sqlite_reading import one

# Number n leads from schema n - 1 to n.
SCHEMA_SCRIPTS = (
    "sqlite.sql",
    "sqlite_2.sql",
    "feedback.sql",
    "segments.sql",
    "outcome_weights.sql",
    "error_weights.sql",
    "answer_scores.sql",
    "segment_scores.sql",
)
SCHEMA_VERSION = len(SCHEMA_SCRIPTS)
BUSY_TIMEOUT_MS = 5_000
PANES_AT_ONCE = 1_024  # in one reading: some megabytes, some tens of milliseconds
_PANE_COLUMNS = "pane_id, model, version, segment, layout, minute, hex(vector), hex(samples)"


class SqliteStore:
    """Implements ``store.contract.Store``.

    Raises ``StoreError``: ``cannot_open`` and ``schema_version`` from the constructor, ``fenced`` and ``store_failed``
    from any method. A write that raised left nothing behind, and the next one may succeed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._write = self._connect()
            _bring_up_to_date(self._write)
            self._read = self._connect()
        except (apsw.Error, OSError) as error:
            raise StoreError(
                f"the store {self.path} cannot be opened ({type(error).__name__})",
                code="cannot_open",
                hint="Check that the folder exists, is writable and is not a network file system.",
            ) from error
        self._epoch = 0
        self._pending_after = 0  # pending labels are looked at in turn

    def _connect(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        _require_ours(connection)  # before the first pragma writes to it
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "mmap_size=0"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    # ------------------------------------------------------------ transactions

    def take_over(self) -> None:
        """Fence out every earlier hub. Called once by the process that holds the store's lock."""
        with self._write_lock, _as_store_error(), self._write:
            self._epoch = _epoch(self._write) + 1
            self._write.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (str(self._epoch),))

    @property
    def schema_version(self) -> int:
        return SCHEMA_VERSION

    @contextmanager
    def _transaction(self, *, durable: bool = False) -> Iterator[apsw.Connection]:
        """``durable``: on disk before the call returns (labels); otherwise safe against a process's death only."""
        with self._write_lock, _as_store_error():
            connection = self._write
            if durable:
                connection.execute("PRAGMA synchronous=FULL").fetchall()
            try:
                connection.execute("BEGIN IMMEDIATE")
                self._check_fence(connection)
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:  # it failed, and SQLite did not roll it back by itself
                    connection.execute("ROLLBACK")
                if durable:
                    connection.execute("PRAGMA synchronous=NORMAL").fetchall()

    def _check_fence(self, connection: apsw.Connection) -> None:
        if _epoch(connection) != self._epoch:
            raise StoreError("another hub took this store over", code="fenced", hint="This one stops writing.")

    def _rows(self, sql: str, bindings: Any = ()) -> list[Any]:
        with self._read_lock, _as_store_error():
            return self._read.execute(sql, bindings).fetchall()

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._read.close()
            self._write.close()

    # ------------------------------------------------------------ flushes

    def commit_flush(self, flush: Flush, seen_ns: int) -> FlushReceipt:
        """Exactly once: the recorder's number moves first, and nothing else happens unless it moved."""
        with self._transaction() as db:
            receipt = _advance_recorder(db, flush, seen_ns)
            if receipt.status is FlushStatus.COMMITTED:
                _insert_panes(db, flush)
                insert_predictions(db, flush.rows.rows)
                _add_counters(db, flush.counters)
                _add_losses(db, flush.counters, seen_ns)
        return receipt

    def recorders(self) -> list[RecorderRow]:
        rows = self._rows(
            "SELECT recorder_id, last_seq, lost, origin, seen_ns, complete_through, closed FROM recorders"
        )
        return [RecorderRow(r[0], r[1], r[2], r[3], r[4], orjson.loads(r[5]), bool(r[6])) for r in rows]

    def forget_recorders(self, seen_before_ns: int) -> int:
        """Closed or long silent recorders leave; their later flushes are refused as unknown."""
        with self._transaction() as db:
            db.execute("DELETE FROM counters WHERE value = 0").fetchall()  # of processes that have ended
            db.execute("DELETE FROM recorders WHERE seen_ns < ?", (seen_before_ns,)).fetchall()
            return int(db.changes())

    def counters(self) -> dict[str, int]:
        return dict(self._rows("SELECT name, value FROM counters"))

    def losses(self, first_day: int, last_day: int) -> dict[int, Losses]:
        """By the Unix day on which it was told, both ends included."""
        rows = self._rows("SELECT * FROM loss_days WHERE day BETWEEN ? AND ?", (first_day, last_day))
        return {day: Losses(*counts) for day, *counts in rows}

    # ------------------------------------------------------------ panes and seals

    def open_panes(self, model: str, through: int, minutes: int) -> list[StoredPane]:
        """Panes up to and with minute ``through``, oldest first: whole minutes, at most ``minutes`` of them, and
        but for the first at most ``PANES_AT_ONCE`` panes."""
        return self._panes(
            """WITH waiting AS (
                   SELECT minute, sum(count(*)) OVER (ORDER BY minute) AS panes FROM open_panes
                   WHERE model = :model AND minute <= :through
                   GROUP BY minute ORDER BY minute LIMIT :minutes)
               SELECT pane_id, model, version, segment, layout, minute, vector, samples FROM open_panes
               WHERE model = :model AND minute <= coalesce(
                   (SELECT max(minute) FROM waiting WHERE panes <= :panes), (SELECT min(minute) FROM waiting))
               ORDER BY minute, version, segment, layout, pane_id""",
            {"model": model, "through": through, "minutes": minutes, "panes": PANES_AT_ONCE},
        )

    def newer_panes(self, model: str, after: int) -> list[StoredPane]:
        """Open panes with an id beyond ``after`` in the order they came, at most ``PANES_AT_ONCE``."""
        return self._panes(
            """SELECT pane_id, model, version, segment, layout, minute, vector, samples FROM open_panes
               WHERE pane_id > ? AND model = ? ORDER BY pane_id LIMIT ?""",
            (after, model, PANES_AT_ONCE),
        )

    def open_models(self) -> dict[str, int]:
        """Model to its newest minute that waits for a seal."""
        return dict(self._rows("SELECT model, max(minute) FROM open_panes GROUP BY model"))

    def fleet_panes(self, model: str, start: int, end: int) -> list[Pane]:
        """Sealed panes with ``start <= minute < end``, oldest first."""
        stored = self._panes(
            """SELECT 0 AS pane_id, model, version, segment, layout, minute, vector, samples FROM fleet_panes
               WHERE model = ? AND minute >= ? AND minute < ? ORDER BY minute, version, segment, layout""",
            (model, start, end),
        )
        return [item.pane for item in stored]

    def fleet_panes_of(self, model: str, minutes: Sequence[int]) -> list[Pane]:
        """Sealed panes of just these minutes, oldest first."""
        stored = self._panes(
            """SELECT 0 AS pane_id, model, version, segment, layout, minute, vector, samples FROM fleet_panes
               WHERE model = ? AND minute IN (SELECT value FROM json_each(?))
               ORDER BY minute, version, segment, layout""",
            (model, orjson.dumps(list(minutes)).decode()),
        )
        return [item.pane for item in stored]

    def _panes(self, sql: str, bindings: Any) -> list[StoredPane]:
        whole = f"SELECT json_group_array(json_array({_PANE_COLUMNS})) FROM ({sql})"  # noqa: S608 - constants only
        packed = self._rows(whole, bindings)
        return [_stored_pane(row) for row in orjson.loads(packed[0][0])]

    def model_state(self, model: str) -> ModelState | None:
        rows = self._rows(
            """SELECT watermark, detector, quality, progress, segment_states.state
               FROM model_state LEFT JOIN segment_states USING (model) WHERE model = ?""",
            (model,),
        )
        if not rows:
            return None
        watermark, detector, quality, progress, segments = rows[0]
        return ModelState(watermark, detector, quality, orjson.loads(progress), segments)

    def seal(self, seal: Seal) -> None:
        """One fenced transaction: fleet panes, detector state, watermark, series, incidents and outbox, or nothing."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM open_panes WHERE pane_id IN (SELECT value FROM json_each(?))",
                (orjson.dumps(list(seal.consumed)).decode(),),
            )
            _write_fleet_panes(db, seal.panes)
            state = seal.state
            db.execute(
                "INSERT OR REPLACE INTO model_state VALUES (?, ?, ?, ?, ?)",
                (seal.model, state.watermark, state.detector, state.quality, json_text(state.progress)),
            )
            if state.segments is not None:
                db.execute("INSERT OR REPLACE INTO segment_states VALUES (?, ?)", (seal.model, state.segments))
            write_all(
                db,
                """INSERT OR REPLACE INTO series
                   SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?)""",
                [(seal.model, p.name, p.label, p.at_minute, p.value) for p in seal.series],
            )
            _write_incidents(db, seal.incidents)
            sqlite_labels.judge(db, seal.model, seal.judged)

    def write_incidents(self, incidents: Sequence[tuple[Incident, str, int]]) -> None:
        """(incident, transition, minute) outside a seal: provisional openings, outcome alerts."""
        with self._transaction() as db:
            _write_incidents(db, incidents)

    def save_layout(self, layout_hash: str, model: str, document: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO layouts VALUES (?, ?, ?)", (layout_hash, model, json_text(document)))

    # ------------------------------------------------------------ reading for people

    def incidents_of(self, keys: Collection[str]) -> list[Incident]:
        """Those with these keys, however old; in no order."""
        rows = self._rows(
            """SELECT key, model, rule, layer, tier, opened_minute, resolved_minute, summary, evidence, features,
                      details, provisional FROM incidents WHERE key IN (SELECT value FROM json_each(?))""",
            (json_text(sorted(keys)),),
        )
        return [incident_of(row) for row in rows]

    def incidents(self, model: str | None = None, *, only_open: bool = False, limit: int = 200) -> list[Incident]:
        """Newest first."""
        rows = self._rows(
            """SELECT key, model, rule, layer, tier, opened_minute, resolved_minute, summary, evidence, features,
                      details, provisional FROM incidents
               WHERE (:model IS NULL OR model = :model) AND (NOT :only_open OR resolved_minute IS NULL)
               ORDER BY opened_minute DESC, key LIMIT :limit""",
            {"model": model, "only_open": only_open, "limit": limit},
        )
        return [incident_of(row) for row in rows]

    def outbox(self, after: int, limit: int = 100) -> list[tuple[int, str, str, int]]:
        """Undelivered (outbox id, incident key, transition, minute) with a larger id than ``after``."""
        return self._rows(
            """SELECT outbox_id, incident_key, transition, minute FROM outbox
               WHERE delivered = 0 AND outbox_id > ? ORDER BY outbox_id LIMIT ?""",
            (after, limit),
        )

    def mark_delivered(self, outbox_ids: Sequence[int]) -> None:
        with self._transaction() as db:
            db.executemany("UPDATE outbox SET delivered = 1 WHERE outbox_id = ?", [(item,) for item in outbox_ids])

    def series(self, model: str, name: str, label: str, since_minute: int, limit: int = 5_000) -> list[Point]:
        rows = self._rows(
            """SELECT name, label, at_minute, value FROM series
               WHERE model = ? AND name = ? AND label = ? AND at_minute >= ? ORDER BY at_minute DESC LIMIT ?""",
            (model, name, label, since_minute, limit),
        )
        return [Point(*row) for row in reversed(rows)]

    def versions(self, model: str) -> list[tuple[str, int, int]]:
        """(version, kept predictions, newest minute), newest first."""
        rows = self._rows(
            """SELECT version, sum(rows), max(newest_ns) FROM prediction_days WHERE model = ?
               GROUP BY version ORDER BY 3 DESC, 1""",
            (model,),
        )
        return [(version, count, newest // MINUTE_NS) for version, count, newest in rows]

    def label_counts(self, model: str) -> dict[str, int]:
        """Labels of this model's predictions by what became of them, ever: "matched" is one a prediction, "corrected"
        counts those that a later one replaced."""
        return dict(self._rows("SELECT status, count FROM label_totals WHERE model = ? AND count <> 0", (model,)))

    def stored_rows(self) -> int:
        """Predictions kept at present."""
        return int(self._rows("SELECT coalesce(sum(rows), 0) FROM prediction_days")[0][0])

    # ------------------------------------------------------------ outcomes

    def commit_labels(
        self,
        labels: Sequence[Label],
        received_ns: int,
        rules: Rules | None = None,
        key: str = "",
        place: tuple[str, str] | None = None,
    ) -> list[LabelReceipt]:
        """Durable on disk before it returns. Raises ``FeedbackError`` for a key that came with another content.

        ``place``: name and text, kept together with the labels: where whoever fetches them goes on (``place``).
        """
        with self._transaction(durable=True) as db:
            if place is not None:
                db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"place:{place[0]}", place[1])).fetchall()
            return label_intake.commit(SqliteLabelTables(db), labels, received_ns, rules or {}, key)

    def place(self, name: str) -> str:
        """The text that was last kept with labels under this name; "" where none was."""
        rows = self._rows("SELECT value FROM meta WHERE key = ?", (f"place:{name}",))
        return str(rows[0][0]) if rows else ""

    def assume_labels(
        self, model: str, assumption: Assumption, watermark_ns: int, now_ns: int, limit: int
    ) -> tuple[int, bool]:
        """Make labels of the silence of at most ``limit`` predictions. Returns how many, and whether any were there."""
        if not self._rows(
            """SELECT 1 FROM predictions INDEXED BY predictions_by_time WHERE model = ? AND event_ns <= ? AND event_ns >
                   coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?), -1) LIMIT 1""",
            (model, watermark_ns - assumption.after_ns, sqlite_feedback.assumed_through(model)),
        ):
            return 0, False
        with self._transaction() as db:
            return sqlite_feedback.assume(db, model, assumption, watermark_ns, now_ns, limit)

    def release_labels(self, model: str, sources: Sequence[str]) -> int:
        """Labels in quarantine from these sources count after all. Returns how many."""
        if not self._rows("SELECT 1 FROM labels WHERE state = 'quarantined' LIMIT 1"):
            return 0
        with self._transaction() as db:
            return sqlite_feedback.release(db, model, sources)

    def join_labels(self, limit: int, told: Callable[[Sequence[LabelledCompletion]], None] | None = None) -> int:
        """Count waiting labels into outcome panes; returns how many were taken in. Cheap when none wait.

        ``told`` hears, after the commit, which of them are of language models' answers or have a trace.
        """
        if not self._rows(
            "SELECT 1 FROM (SELECT 1 FROM labels WHERE state = 'pending' LIMIT 1) "
            "UNION ALL SELECT 1 FROM (SELECT 1 FROM labels WHERE state = 'ready' LIMIT 1)"
        ):
            return 0
        with self._transaction() as db:
            joined = sqlite_labels.join(db, limit, self._pending_after)
        self._pending_after = joined.looked_at
        if told is not None and joined.completions:
            told(joined.completions)
        return joined.labels

    def outcome_cells(self, model: str, first_day: int, last_day: int) -> list[OutcomeCell]:
        with self._read_lock, _as_store_error():
            return sqlite_labels.cells(self._read, model, first_day, last_day)

    def label_slices(self, model: str, first_day: int, last_day: int) -> list[tuple[int, int, int]]:
        """(prediction day, age, labels), both ends included."""
        with self._read_lock, _as_store_error():
            return sqlite_labels.slices(self._read, model, first_day, last_day)

    def label_scores(
        self, model: str, positive: str, first_day: int, last_day: int, part: Part | None = None
    ) -> LabelScores:
        """Labelled predictions by their score, both ends included."""
        with self._read_lock, _as_store_error():
            return sqlite_outcomes.scores(self._read, model, positive, first_day, last_day, part)

    def answer_scores(self, model: str, first_day: int, last_day: int, part: Part | None = None) -> LabelScores:
        """As ``label_scores``, of the scores of the classes that were answered: positive are those that were right."""
        with self._read_lock, _as_store_error():
            return sqlite_outcomes.answer_scores(self._read, model, first_day, last_day, part)

    def label_errors(self, model: str, first_day: int, last_day: int, part: Part | None = None) -> LabelErrors | None:
        """Errors of predictions that are a number, both ends included; None without any."""
        with self._read_lock, _as_store_error():
            return sqlite_outcomes.errors(self._read, model, first_day, last_day, part)

    def weighted_cells(self, model: str, first_day: int, last_day: int) -> list[WeightedCell]:
        """Weights of labels, both ends included; none where every label weighs 1."""
        with self._read_lock, _as_store_error():
            return sqlite_weights.cells(self._read, model, first_day, last_day)

    def weighted_scores(self, model: str, positive: str, first_day: int, last_day: int) -> LabelScores:
        """As ``label_scores``, weights in place of counts, in units of 2**-20."""
        with self._read_lock, _as_store_error():
            return sqlite_weights.scores(self._read, model, positive, first_day, last_day)

    def weighted_errors(self, model: str, first_day: int, last_day: int) -> LabelErrors | None:
        """As ``label_errors``, sums by weight in units of 2**-20 (of any size); None where every label weighs 1."""
        with self._read_lock, _as_store_error():
            return sqlite_error_weights.errors(self._read, model, first_day, last_day)

    def segment_cells(self, model: str, first_day: int, last_day: int) -> list[SegmentCell]:
        """Labels of predictions that have a segment, both ends included."""
        with self._read_lock, _as_store_error():
            return sqlite_weights.segments(self._read, model, first_day, last_day)

    def predictions_per_day(self, model: str, first_day: int, last_day: int) -> dict[int, int]:
        """Kept predictions by Unix day, both ends included."""
        return dict(
            self._rows(
                "SELECT day, sum(rows) FROM prediction_days WHERE model = ? AND day BETWEEN ? AND ? GROUP BY day",
                (model, first_day, last_day),
            )
        )

    def unjudged_cells(self, model: str, closed_by: int) -> list[OutcomeCell]:
        """Signed counts of slices that close by Unix day ``closed_by`` and that no seal has marked as judged."""
        with self._read_lock, _as_store_error():
            return sqlite_labels.unjudged(self._read, model, closed_by)

    # ------------------------------------------------------------ baselines

    def keep_baseline(self, held: HeldBaseline, document: str) -> None:
        """Durable on disk before it returns. One that is there already stays as it is."""
        with self._transaction(durable=True) as db:
            sqlite_baselines.keep(db, held, document)

    def move_baseline(self, held: HeldBaseline) -> None:
        """To another state. One that becomes active replaces the one that was."""
        with self._transaction(durable=True) as db:
            sqlite_baselines.move(db, held)

    def baselines(self, model: str | None = None) -> list[HeldBaseline]:
        """Newest first."""
        with self._read_lock, _as_store_error():
            return sqlite_baselines.held(self._read, model)

    def baseline_document(self, model: str, baseline: str) -> str | None:
        rows = self._rows("SELECT document FROM baselines WHERE model = ? AND baseline = ?", (model, baseline))
        return str(rows[0][0]) if rows else None

    def sample(self, model: str, since_ns: int, rows: int) -> list[SampledRow]:
        """At most ``rows`` kept predictions since then, ascending in time: which ones is decided by their ids alone, so
        that every part of the time and every process has its share."""
        with self._read_lock, _as_store_error():
            return sqlite_baselines.sample(self._read, model, since_ns, rows)

    # ------------------------------------------------------------ retention

    def roll_up(self, model: str, before_minute: int) -> bool:
        """Make one pane (a version) of an hour's, the oldest hour before ``before_minute``. False: none is left."""
        with self._read_lock, _as_store_error():
            hour = sqlite_retention.hour_to_roll(self._read, model, before_minute)
        if hour is None:
            return False
        first, end = hour * 60, hour * 60 + 60
        summed = summed_into(first, self.fleet_panes(model, first, end))
        with self._transaction() as db:
            db.execute(
                "DELETE FROM fleet_panes WHERE model = ? AND minute >= ? AND minute < ?", (model, first, end)
            ).fetchall()
            _write_fleet_panes(db, summed)
        return True

    def forget_predictions(self, model: str, before_ns: int, limit: int) -> int:
        """Predictions whose event lies before ``before_ns``, oldest first, with their labels. Returns how many."""
        with self._transaction() as db:
            return sqlite_retention.forget_predictions(db, model, before_ns, limit)

    def forget_pending(self, before_ns: int, limit: int) -> int:
        """Labels received before ``before_ns`` whose prediction never came. Returns how many."""
        with self._transaction() as db:
            return sqlite_retention.forget_pending(db, before_ns, limit)

    def forget_figures(self, model: str, keep: Keep, limit: int) -> int:
        """Curves, panes, outcome cells, incidents and outbox rows, at most ``limit`` of each. Returns how many."""
        with self._transaction() as db:
            return sqlite_retention.forget_figures(db, model, keep, limit)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        """Predictions and their labels. The file is then written anew, for a deleted row, or an earlier form of it,
        lies in free space until that is used again; and the log of changes is cut to nothing.

        Counts stay: they name nobody. Takes seconds a gigabyte, and as much free disk as the store is large. Raises
        ``StoreError`` (``log_in_use``) where the rows are gone, but a reader kept the log from being cut.
        """
        with self._transaction(durable=True) as db:
            erased = sqlite_retention.erase(db, ids, aliases)
        with self._write_lock, self._read_lock, _as_store_error():
            self._write.execute("VACUUM").fetchall()
            busy, _, _ = self._write.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0]
        if busy:
            raise StoreError(
                "the rows are erased, but another process reads the store and the old ones may lie in its log",
                code="log_in_use",
                hint="Repeat it when nothing else has the store open.",
            )
        return erased


@contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise StoreError(
            f"the store failed ({type(error).__name__})",
            code="store_failed",
            hint="Check that its disk has space and can be written.",
        ) from error


def _epoch(db: apsw.Connection) -> int:
    """Goes up by one with every hub that takes the store over."""
    return int(one(db, "SELECT value FROM meta WHERE key = 'epoch'"))


def _require_ours(db: apsw.Connection) -> None:
    """Raises ``StoreError`` for a database that something else or a newer mlmon made; an empty one becomes a store."""
    version = one(db, "PRAGMA user_version")
    if not 1 <= version <= SCHEMA_VERSION and (version or one(db, "SELECT count(*) FROM sqlite_master")):
        raise StoreError(
            f"the store has schema {version}, this version of mlmon needs {SCHEMA_VERSION}",
            code="schema_version",
            hint="Use the mlmon version that wrote it, or name another file as store.",
        )


def _bring_up_to_date(db: apsw.Connection) -> None:
    """All scripts that are still to run, in one transaction."""
    if one(db, "PRAGMA user_version") == SCHEMA_VERSION:
        return
    db.execute("BEGIN IMMEDIATE").fetchall()  # of two processes that start together one does it, the other waits
    try:
        version = one(db, "PRAGMA user_version")
        for script in SCHEMA_SCRIPTS[version:]:
            # A script runs only as far as its cursor is read.
            db.execute(files("mlmon_sidecar.store").joinpath(f"schema/{script}").read_text()).fetchall()
        if version == 0:
            db.execute("INSERT INTO meta VALUES ('epoch', '0')").fetchall()
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}").fetchall()
        db.execute("COMMIT").fetchall()
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK").fetchall()


def _advance_recorder(db: apsw.Connection, flush: Flush, seen_ns: int) -> FlushReceipt:
    known = db.execute("SELECT last_seq FROM recorders WHERE recorder_id = ?", (flush.recorder_id,)).fetchone()
    through = json_text(dict(flush.complete_through))
    if known is None:
        if flush.seq != 1:
            return FlushReceipt(FlushStatus.UNKNOWN_RECORDER, 0)
        db.execute(
            "INSERT INTO recorders VALUES (?, 1, 0, ?, ?, ?, ?)",
            (flush.recorder_id, flush.origin, seen_ns, through, flush.closing),
        )
        return FlushReceipt(FlushStatus.COMMITTED, 0)
    lost = flush.seq - 1 - known[0]
    db.execute(
        """UPDATE recorders SET last_seq = :seq, lost = lost + :lost, seen_ns = :seen, complete_through = :through,
               closed = :closed WHERE recorder_id = :recorder AND last_seq < :seq""",
        {
            "seq": flush.seq,
            "lost": lost,
            "seen": seen_ns,
            "through": through,
            "closed": flush.closing,
            "recorder": flush.recorder_id,
        },
    )
    if db.changes() == 0:
        return FlushReceipt(FlushStatus.DUPLICATE, 0)
    return FlushReceipt(FlushStatus.COMMITTED, lost)


def _insert_panes(db: apsw.Connection, flush: Flush) -> None:
    write_all(
        db,
        """INSERT INTO open_panes
           SELECT NULL, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
                  unhex(value ->> 6), unhex(value ->> 7) FROM json_each(?)""",
        [(flush.recorder_id, *pane.key, *_packed(pane)) for pane in flush.panes],
    )


def _add_counters(db: apsw.Connection, counters: Mapping[str, int]) -> None:
    write_all(
        db,
        """INSERT INTO counters SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true
           ON CONFLICT DO UPDATE SET value = value + excluded.value""",
        list(counters.items()),
    )


def _add_losses(db: apsw.Connection, counters: Mapping[str, int], seen_ns: int) -> None:
    found = losses_in(counters)
    if any(found):
        db.execute(
            """INSERT INTO loss_days VALUES (?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET exchanges = exchanges + excluded.exchanges,
                   of_exchanges = of_exchanges + excluded.of_exchanges, rows = rows + excluded.rows,
                   of_rows = of_rows + excluded.of_rows""",
            (seen_ns // sqlite_labels.DAY_NS, *found),
        ).fetchall()


def _write_fleet_panes(db: apsw.Connection, panes: Sequence[Pane]) -> None:
    write_all(
        db,
        """INSERT INTO fleet_panes
           SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                  unhex(value ->> 5), unhex(value ->> 6) FROM json_each(?) WHERE true
           ON CONFLICT DO UPDATE SET vector = excluded.vector, samples = excluded.samples""",
        [(*_fleet_key(pane.key), *_packed(pane)) for pane in panes],
    )


def _write_incidents(db: apsw.Connection, incidents: Sequence[tuple[Incident, str, int]]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [incident_row(incident) for incident, _, _ in incidents],
    )
    db.executemany(
        "INSERT OR IGNORE INTO outbox (incident_key, transition, minute) VALUES (?, ?, ?)",
        [(incident.key, transition, minute) for incident, transition, minute in incidents if transition],
    )


def _stored_pane(row: Sequence[Any]) -> StoredPane:
    pane_id, model, version, segment, layout, minute, vector, samples = row
    key = PaneKey(model, version, segment, layout, minute)
    return StoredPane(pane_id, Pane(key, decode_vector(bytes.fromhex(vector)), decode_samples(bytes.fromhex(samples))))


def _packed(pane: Pane) -> tuple[str, str]:
    return encode_vector(pane.vector).hex(), encode_samples(pane.samples).hex()


def _fleet_key(key: PaneKey) -> tuple[str, int, str, str, str]:
    return key.model, key.minute, key.version, key.segment, key.layout
