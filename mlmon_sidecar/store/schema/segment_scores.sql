-- From schema 7 to 8: scores and errors of labelled predictions by segment, for predictions that have one. The columns
-- are those of outcome_scores, outcome_losses and outcome_errors.

CREATE TABLE outcome_segment_scores (
    model   TEXT NOT NULL,
    segment TEXT NOT NULL,
    day     INTEGER NOT NULL,
    actual  TEXT NOT NULL,
    bin     INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    hits    INTEGER NOT NULL,
    PRIMARY KEY (model, segment, day, actual, bin)
) WITHOUT ROWID;

CREATE TABLE outcome_segment_losses (
    model        TEXT NOT NULL,
    segment      TEXT NOT NULL,
    day          INTEGER NOT NULL,
    actual       TEXT NOT NULL,
    count        INTEGER NOT NULL,
    log_positive INTEGER NOT NULL,
    log_negative INTEGER NOT NULL,
    score        INTEGER NOT NULL,
    square       INTEGER NOT NULL,
    hits         INTEGER NOT NULL,
    log_hit      INTEGER NOT NULL,
    hit_score    INTEGER NOT NULL,
    PRIMARY KEY (model, segment, day, actual)
) WITHOUT ROWID;

CREATE TABLE outcome_segment_errors (
    model          TEXT NOT NULL,
    segment        TEXT NOT NULL,
    day            INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    error          INTEGER NOT NULL,
    absolute       INTEGER NOT NULL,
    squared        INTEGER NOT NULL,
    actual         INTEGER NOT NULL,
    actual_squared INTEGER NOT NULL,
    relative       INTEGER NOT NULL,
    relative_count INTEGER NOT NULL,
    PRIMARY KEY (model, segment, day)
) WITHOUT ROWID;
