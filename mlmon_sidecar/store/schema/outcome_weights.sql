-- From schema 4 to 5: label weights and segments in the figures of labels, and what was lost by the day. Counts and sums are signed.

-- What a label counts, in 2**-20. Labels that were sent before count 1.
ALTER TABLE labels ADD COLUMN counted INTEGER NOT NULL DEFAULT 1048576;

-- What labels whose weight is not 1 add to (or take from) the counts of their cell in outcome_panes.
CREATE TABLE outcome_weights (
    model     TEXT NOT NULL,
    version   TEXT NOT NULL,
    day       INTEGER NOT NULL,  -- Unix day of the prediction
    age       INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    actual    TEXT NOT NULL,
    extra     INTEGER NOT NULL,  -- sum of weight - 1, in 2**-20
    squares   REAL NOT NULL,     -- sum of weight**2 - 1: for intervals alone
    PRIMARY KEY (model, version, day, age, predicted, actual)
) WITHOUT ROWID;

-- The same beside outcome_scores.
CREATE TABLE outcome_score_weights (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    day     INTEGER NOT NULL,
    actual  TEXT NOT NULL,
    bin     INTEGER NOT NULL,
    extra   INTEGER NOT NULL,
    PRIMARY KEY (model, version, day, actual, bin)
) WITHOUT ROWID;

-- And beside outcome_losses: each of its sums, of (weight - 1) times the row's own.
CREATE TABLE outcome_loss_weights (
    model        TEXT NOT NULL,
    version      TEXT NOT NULL,
    day          INTEGER NOT NULL,
    actual       TEXT NOT NULL,
    extra        INTEGER NOT NULL,
    log_positive INTEGER NOT NULL,
    log_negative INTEGER NOT NULL,
    score        INTEGER NOT NULL,
    square       INTEGER NOT NULL,
    PRIMARY KEY (model, version, day, actual)
) WITHOUT ROWID;

-- Labels by the segment of their prediction, where it has one.
CREATE TABLE outcome_segments (
    model     TEXT NOT NULL,
    segment   TEXT NOT NULL,
    day       INTEGER NOT NULL,
    predicted TEXT NOT NULL,
    actual    TEXT NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (model, segment, day, predicted, actual)
) WITHOUT ROWID;

-- By the Unix day on which a flush came.
CREATE TABLE loss_days (
    day          INTEGER PRIMARY KEY,
    exchanges    INTEGER NOT NULL,  -- dropped, though they were predictions
    of_exchanges INTEGER NOT NULL,
    rows         INTEGER NOT NULL,  -- decoded, but not stored though they should have been
    of_rows      INTEGER NOT NULL
);
