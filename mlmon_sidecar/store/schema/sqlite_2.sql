-- From schema 1 to 2: baselines, labelled scores and errors. Counts and sums of labels are signed: a correction takes
-- out what it put in.

-- Baselines that the hub was given. At most one of a model is active: it stands in the place of the configured one.
CREATE TABLE baselines (
    model       TEXT NOT NULL,
    baseline    TEXT NOT NULL,     -- hash of the document
    state       TEXT NOT NULL,     -- proposed, active, replaced, rejected
    from_minute INTEGER NOT NULL,  -- active from then on; 0: it never was
    received_ns INTEGER NOT NULL,
    origin      TEXT NOT NULL,     -- pushed, learned
    over_       TEXT NOT NULL,     -- hash of the configured baseline in whose place it stands
    rows        INTEGER NOT NULL,
    source      TEXT NOT NULL,
    created     TEXT NOT NULL,
    document    TEXT NOT NULL,
    PRIMARY KEY (model, baseline)
) WITHOUT ROWID;

-- Of predictions with a class and a score in [0, 1]. bin: statistics.score_grid.
CREATE TABLE outcome_scores (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    day     INTEGER NOT NULL,  -- Unix day of the prediction
    actual  TEXT NOT NULL,
    bin     INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (model, version, day, actual, bin)
) WITHOUT ROWID;

-- Of the same rows, in units of 2**-20: the logarithmic loss if ``actual`` is the positive class and if it is not,
-- the score, and its square.
CREATE TABLE outcome_losses (
    model        TEXT NOT NULL,
    version      TEXT NOT NULL,
    day          INTEGER NOT NULL,
    actual       TEXT NOT NULL,
    count        INTEGER NOT NULL,
    log_positive INTEGER NOT NULL,
    log_negative INTEGER NOT NULL,
    score        INTEGER NOT NULL,
    square       INTEGER NOT NULL,
    PRIMARY KEY (model, version, day, actual)
) WITHOUT ROWID;

-- How a model's numbers are counted (statistics.error_scale): set by the first labels that are numbers, then fixed.
CREATE TABLE outcome_scales (model TEXT PRIMARY KEY, center REAL NOT NULL, unit REAL NOT NULL) WITHOUT ROWID;

-- Of predictions that are a number alone, with a label that is one.
CREATE TABLE outcome_errors (
    model          TEXT NOT NULL,
    version        TEXT NOT NULL,
    day            INTEGER NOT NULL,
    count          INTEGER NOT NULL,
    error          INTEGER NOT NULL,  -- predicted - actual
    absolute       INTEGER NOT NULL,
    squared        INTEGER NOT NULL,
    actual         INTEGER NOT NULL,  -- actual - center
    actual_squared INTEGER NOT NULL,
    relative       INTEGER NOT NULL,  -- |error / actual| in 2**-20, where actual is not 0
    relative_count INTEGER NOT NULL,
    PRIMARY KEY (model, version, day)
) WITHOUT ROWID;
