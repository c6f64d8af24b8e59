-- Schema 1. Times: *_ns Unix nanoseconds, *_minute Unix minutes. Vectors: mlmon_sidecar.statistics.packing.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE recorders (
    recorder_id      TEXT PRIMARY KEY,
    last_seq         INTEGER NOT NULL,
    lost             INTEGER NOT NULL,  -- flush numbers that never came
    origin           TEXT NOT NULL,     -- host:pid
    seen_ns          INTEGER NOT NULL,
    complete_through TEXT NOT NULL,     -- JSON: model -> minute
    closed           INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE layouts (hash TEXT PRIMARY KEY, model TEXT NOT NULL, document TEXT NOT NULL) WITHOUT ROWID;

-- What recorders sent and no seal has summed yet. Rows leave by id, so a pane that arrives during a seal stays.
CREATE TABLE open_panes (
    pane_id     INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: "newer than" is asked by it
    recorder_id TEXT NOT NULL,
    model       TEXT NOT NULL,
    version     TEXT NOT NULL,
    segment     TEXT NOT NULL,
    layout      TEXT NOT NULL,
    minute      INTEGER NOT NULL,
    vector      BLOB NOT NULL,
    samples     BLOB NOT NULL
);
CREATE INDEX open_panes_by_minute ON open_panes (model, minute);

CREATE TABLE fleet_panes (
    model   TEXT NOT NULL,
    minute  INTEGER NOT NULL,
    version TEXT NOT NULL,
    segment TEXT NOT NULL,
    layout  TEXT NOT NULL,
    vector  BLOB NOT NULL,
    samples BLOB NOT NULL,
    UNIQUE (model, minute, version, segment, layout)
);

-- Committed together: state is never ahead of or behind its watermark.
CREATE TABLE model_state (
    model     TEXT PRIMARY KEY,
    watermark INTEGER NOT NULL,
    detector  BLOB NOT NULL,
    quality   BLOB NOT NULL,
    progress  TEXT NOT NULL  -- JSON
) WITHOUT ROWID;

CREATE TABLE series (
    model     TEXT NOT NULL,
    name      TEXT NOT NULL,
    label     TEXT NOT NULL,
    at_minute INTEGER NOT NULL,
    value     REAL NOT NULL,
    PRIMARY KEY (model, name, label, at_minute)
) WITHOUT ROWID;

CREATE INDEX series_by_time ON series (model, at_minute);

CREATE TABLE incidents (
    key             TEXT PRIMARY KEY,
    model           TEXT NOT NULL,
    rule            TEXT NOT NULL,
    layer           TEXT NOT NULL,
    tier            INTEGER NOT NULL,
    opened_minute   INTEGER NOT NULL,
    resolved_minute INTEGER,
    summary         TEXT NOT NULL,
    evidence        REAL NOT NULL,
    features        TEXT NOT NULL,  -- JSON list
    details         TEXT NOT NULL,  -- JSON
    provisional     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX incidents_by_opening ON incidents (model, opened_minute);

CREATE TABLE outbox (
    outbox_id    INTEGER PRIMARY KEY,
    incident_key TEXT NOT NULL,
    transition   TEXT NOT NULL,
    minute       INTEGER NOT NULL,
    delivered    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (incident_key, transition, minute)
);

CREATE TABLE predictions (
    prediction_id TEXT PRIMARY KEY,
    model         TEXT NOT NULL,
    version       TEXT NOT NULL,
    segment       TEXT NOT NULL,
    event_ns      INTEGER NOT NULL,
    score         REAL,
    predicted     TEXT,
    confidence    REAL,
    alias         TEXT,
    trace_id      TEXT NOT NULL,
    span_id       TEXT NOT NULL,
    features      TEXT NOT NULL
);
CREATE INDEX predictions_by_alias ON predictions (alias, event_ns) WHERE alias IS NOT NULL;
CREATE INDEX predictions_by_time ON predictions (model, event_ns);

-- Kept predictions counted by the day of their event, for people: nobody counts a hundred million rows at each look.
CREATE TABLE prediction_days (
    model     TEXT NOT NULL,
    version   TEXT NOT NULL,
    day       INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    newest_ns INTEGER NOT NULL,
    PRIMARY KEY (model, version, day)
) WITHOUT ROWID;

-- Every label ever given, for as long as its prediction is kept. state: pending (prediction not here), ready, joined, superseded.
CREATE TABLE labels (
    label_id      INTEGER PRIMARY KEY,
    id            TEXT NOT NULL,
    model         TEXT NOT NULL,
    prediction_id TEXT,
    label         TEXT NOT NULL,
    observed_ns   INTEGER NOT NULL,
    received_ns   INTEGER NOT NULL,
    source        TEXT NOT NULL,
    state         TEXT NOT NULL
);
CREATE INDEX labels_by_prediction ON labels (prediction_id) WHERE prediction_id IS NOT NULL;
CREATE INDEX labels_waiting ON labels (state, id) WHERE state IN ('pending', 'ready');

-- Signed counts: a correction subtracts where the earlier label was counted.
CREATE TABLE outcome_panes (
    model     TEXT NOT NULL,
    version   TEXT NOT NULL,
    day       INTEGER NOT NULL,  -- Unix day of the prediction
    age       INTEGER NOT NULL,  -- whole days from prediction to observation
    predicted TEXT NOT NULL,
    actual    TEXT NOT NULL,
    count     INTEGER NOT NULL,
    judged    INTEGER NOT NULL DEFAULT 0,  -- how many of them the quality detector has taken
    PRIMARY KEY (model, version, day, age, predicted, actual)
) WITHOUT ROWID;

-- Labels ever joined ("matched") and replaced by a later one ("corrected"); never falls.
CREATE TABLE label_totals (
    model  TEXT NOT NULL,
    status TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (model, status)
) WITHOUT ROWID;
