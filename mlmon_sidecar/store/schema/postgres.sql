-- Schema 1 on PostgreSQL. Times: *_ns Unix nanoseconds, *_minute Unix minutes. What each column means is said in the
-- scripts for SQLite. Texts compare by their bytes, as they do there.

CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);

CREATE TABLE recorders (
    recorder_id      text COLLATE "C" PRIMARY KEY,
    last_seq         bigint NOT NULL,
    lost             bigint NOT NULL,
    origin           text NOT NULL,
    seen_ns          bigint NOT NULL,
    complete_through text NOT NULL,
    closed           boolean NOT NULL
);

CREATE TABLE counters (name text COLLATE "C" PRIMARY KEY, value bigint NOT NULL);

CREATE TABLE layouts (hash text COLLATE "C" PRIMARY KEY, model text NOT NULL, document text NOT NULL);

CREATE TABLE open_panes (
    pane_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recorder_id text NOT NULL,
    model       text COLLATE "C" NOT NULL,
    version     text COLLATE "C" NOT NULL,
    segment     text COLLATE "C" NOT NULL,
    layout      text COLLATE "C" NOT NULL,
    minute      bigint NOT NULL,
    vector      bytea NOT NULL,
    samples     bytea NOT NULL
);
CREATE INDEX open_panes_by_minute ON open_panes (model, minute);

CREATE TABLE fleet_panes (
    model   text COLLATE "C" NOT NULL,
    minute  bigint NOT NULL,
    version text COLLATE "C" NOT NULL,
    segment text COLLATE "C" NOT NULL,
    layout  text COLLATE "C" NOT NULL,
    vector  bytea NOT NULL,
    samples bytea NOT NULL,
    PRIMARY KEY (model, minute, version, segment, layout)
);

CREATE TABLE model_state (
    model     text COLLATE "C" PRIMARY KEY,
    watermark bigint NOT NULL,
    detector  bytea NOT NULL,
    quality   bytea NOT NULL,
    progress  text NOT NULL
);

CREATE TABLE segment_states (model text COLLATE "C" PRIMARY KEY, state bytea NOT NULL);

CREATE TABLE series (
    model     text COLLATE "C" NOT NULL,
    name      text COLLATE "C" NOT NULL,
    label     text COLLATE "C" NOT NULL,
    at_minute bigint NOT NULL,
    value     double precision NOT NULL,
    PRIMARY KEY (model, name, label, at_minute)
);
CREATE INDEX series_by_time ON series (model, at_minute);

CREATE TABLE incidents (
    key             text COLLATE "C" PRIMARY KEY,
    model           text COLLATE "C" NOT NULL,
    rule            text NOT NULL,
    layer           text NOT NULL,
    tier            bigint NOT NULL,
    opened_minute   bigint NOT NULL,
    resolved_minute bigint,
    summary         text NOT NULL,
    evidence        double precision NOT NULL,
    features        text NOT NULL,
    details         text NOT NULL,
    provisional     boolean NOT NULL
);
CREATE INDEX incidents_by_opening ON incidents (model, opened_minute);

CREATE TABLE outbox (
    outbox_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_key text COLLATE "C" NOT NULL,
    transition   text COLLATE "C" NOT NULL,
    minute       bigint NOT NULL,
    delivered    boolean NOT NULL DEFAULT false,
    UNIQUE (incident_key, transition, minute)
);

CREATE TABLE predictions (
    prediction_id text COLLATE "C" PRIMARY KEY,
    model         text COLLATE "C" NOT NULL,
    version       text COLLATE "C" NOT NULL,
    segment       text COLLATE "C" NOT NULL,
    event_ns      bigint NOT NULL,
    score         double precision,
    predicted     text COLLATE "C",
    confidence    double precision,
    alias         text COLLATE "C",
    trace_id      text NOT NULL,
    span_id       text NOT NULL,
    features      text NOT NULL
);
CREATE INDEX predictions_by_alias ON predictions (alias, event_ns) WHERE alias IS NOT NULL;
CREATE INDEX predictions_by_time ON predictions (model, event_ns);

CREATE TABLE prediction_days (
    model     text COLLATE "C" NOT NULL,
    version   text COLLATE "C" NOT NULL,
    day       bigint NOT NULL,
    rows      bigint NOT NULL,
    newest_ns bigint NOT NULL,
    PRIMARY KEY (model, version, day)
);

CREATE TABLE labels (
    label_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id            text COLLATE "C" NOT NULL,
    model         text COLLATE "C" NOT NULL,
    prediction_id text COLLATE "C",
    label         text COLLATE "C" NOT NULL,
    observed_ns   bigint NOT NULL,
    received_ns   bigint NOT NULL,
    source        text COLLATE "C" NOT NULL,
    state         text COLLATE "C" NOT NULL,
    weight        double precision NOT NULL,
    counted       bigint NOT NULL
);
CREATE INDEX labels_by_prediction ON labels (prediction_id) WHERE prediction_id IS NOT NULL;
CREATE INDEX labels_pending ON labels (label_id) WHERE state = 'pending';
CREATE INDEX labels_pending_by_id ON labels (id) WHERE state = 'pending';
CREATE INDEX labels_ready ON labels (label_id) WHERE state = 'ready';
CREATE INDEX labels_held ON labels (source) WHERE state = 'quarantined';

CREATE TABLE feedback_keys (
    key         text COLLATE "C" PRIMARY KEY,
    digest      text NOT NULL,
    receipts    text NOT NULL,
    received_ns bigint NOT NULL
);
CREATE INDEX feedback_keys_by_time ON feedback_keys (received_ns);

CREATE TABLE label_sources (
    model  text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    day    bigint NOT NULL,
    label  text COLLATE "C" NOT NULL,
    taken  bigint NOT NULL,
    held   bigint NOT NULL,
    PRIMARY KEY (model, source, day, label)
);

CREATE TABLE label_totals (
    model  text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    count  bigint NOT NULL,
    PRIMARY KEY (model, status)
);

CREATE TABLE outcome_panes (
    model     text COLLATE "C" NOT NULL,
    version   text COLLATE "C" NOT NULL,
    day       bigint NOT NULL,
    age       bigint NOT NULL,
    predicted text COLLATE "C" NOT NULL,
    actual    text COLLATE "C" NOT NULL,
    count     bigint NOT NULL,
    judged    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (model, version, day, age, predicted, actual)
);

CREATE TABLE outcome_weights (
    model     text COLLATE "C" NOT NULL,
    version   text COLLATE "C" NOT NULL,
    day       bigint NOT NULL,
    age       bigint NOT NULL,
    predicted text COLLATE "C" NOT NULL,
    actual    text COLLATE "C" NOT NULL,
    extra     bigint NOT NULL,
    squares   double precision NOT NULL,
    PRIMARY KEY (model, version, day, age, predicted, actual)
);

CREATE TABLE outcome_segments (
    model     text COLLATE "C" NOT NULL,
    segment   text COLLATE "C" NOT NULL,
    day       bigint NOT NULL,
    predicted text COLLATE "C" NOT NULL,
    actual    text COLLATE "C" NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (model, segment, day, predicted, actual)
);

CREATE TABLE outcome_scores (
    model   text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    day     bigint NOT NULL,
    actual  text COLLATE "C" NOT NULL,
    bin     bigint NOT NULL,
    count   bigint NOT NULL,
    hits    bigint NOT NULL,
    PRIMARY KEY (model, version, day, actual, bin)
);

CREATE TABLE outcome_score_weights (
    model   text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    day     bigint NOT NULL,
    actual  text COLLATE "C" NOT NULL,
    bin     bigint NOT NULL,
    extra   bigint NOT NULL,
    PRIMARY KEY (model, version, day, actual, bin)
);

CREATE TABLE outcome_losses (
    model        text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,
    day          bigint NOT NULL,
    actual       text COLLATE "C" NOT NULL,
    count        bigint NOT NULL,
    log_positive bigint NOT NULL,
    log_negative bigint NOT NULL,
    score        bigint NOT NULL,
    square       bigint NOT NULL,
    hits         bigint NOT NULL,
    log_hit      bigint NOT NULL,
    hit_score    bigint NOT NULL,
    PRIMARY KEY (model, version, day, actual)
);

CREATE TABLE outcome_loss_weights (
    model        text COLLATE "C" NOT NULL,
    version      text COLLATE "C" NOT NULL,
    day          bigint NOT NULL,
    actual       text COLLATE "C" NOT NULL,
    extra        bigint NOT NULL,
    log_positive bigint NOT NULL,
    log_negative bigint NOT NULL,
    score        bigint NOT NULL,
    square       bigint NOT NULL,
    PRIMARY KEY (model, version, day, actual)
);

CREATE TABLE outcome_scales (
    model  text COLLATE "C" PRIMARY KEY,
    center double precision NOT NULL,
    unit   double precision NOT NULL
);

CREATE TABLE outcome_errors (
    model          text COLLATE "C" NOT NULL,
    version        text COLLATE "C" NOT NULL,
    day            bigint NOT NULL,
    count          bigint NOT NULL,
    error          bigint NOT NULL,
    absolute       bigint NOT NULL,
    squared        bigint NOT NULL,
    actual         bigint NOT NULL,
    actual_squared bigint NOT NULL,
    relative       bigint NOT NULL,
    relative_count bigint NOT NULL,
    PRIMARY KEY (model, version, day)
);

-- Eight sums: products of a weight and a square are longer than 64 bits.
CREATE TABLE outcome_error_weights (
    model   text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    day     bigint NOT NULL,
    extra   numeric[] NOT NULL,
    PRIMARY KEY (model, version, day)
);

CREATE TABLE outcome_segment_scores (
    model   text COLLATE "C" NOT NULL,
    segment text COLLATE "C" NOT NULL,
    day     bigint NOT NULL,
    actual  text COLLATE "C" NOT NULL,
    bin     bigint NOT NULL,
    count   bigint NOT NULL,
    hits    bigint NOT NULL,
    PRIMARY KEY (model, segment, day, actual, bin)
);

CREATE TABLE outcome_segment_losses (
    model        text COLLATE "C" NOT NULL,
    segment      text COLLATE "C" NOT NULL,
    day          bigint NOT NULL,
    actual       text COLLATE "C" NOT NULL,
    count        bigint NOT NULL,
    log_positive bigint NOT NULL,
    log_negative bigint NOT NULL,
    score        bigint NOT NULL,
    square       bigint NOT NULL,
    hits         bigint NOT NULL,
    log_hit      bigint NOT NULL,
    hit_score    bigint NOT NULL,
    PRIMARY KEY (model, segment, day, actual)
);

CREATE TABLE outcome_segment_errors (
    model          text COLLATE "C" NOT NULL,
    segment        text COLLATE "C" NOT NULL,
    day            bigint NOT NULL,
    count          bigint NOT NULL,
    error          bigint NOT NULL,
    absolute       bigint NOT NULL,
    squared        bigint NOT NULL,
    actual         bigint NOT NULL,
    actual_squared bigint NOT NULL,
    relative       bigint NOT NULL,
    relative_count bigint NOT NULL,
    PRIMARY KEY (model, segment, day)
);

CREATE TABLE loss_days (
    day          bigint PRIMARY KEY,
    exchanges    bigint NOT NULL,
    of_exchanges bigint NOT NULL,
    rows         bigint NOT NULL,
    of_rows      bigint NOT NULL
);

CREATE TABLE baselines (
    model       text COLLATE "C" NOT NULL,
    baseline    text COLLATE "C" NOT NULL,
    state       text NOT NULL,
    from_minute bigint NOT NULL,
    received_ns bigint NOT NULL,
    origin      text NOT NULL,
    over_       text NOT NULL,
    rows        bigint NOT NULL,
    source      text NOT NULL,
    created     text NOT NULL,
    document    text NOT NULL,
    PRIMARY KEY (model, baseline)
);

-- The number that a label is, as JSON writes numbers, kept within 1e150 of 0, so that PostgreSQL does not refuse to
-- compute with it; NULL for any other text.
CREATE FUNCTION number_in(label text) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(label) <= 330
        AND label ~ '^[ \t\n\r]*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?[ \t\n\r]*$' THEN
        CASE WHEN abs(label::numeric) > 1e150 THEN sign(label::numeric)::double precision * 1e150
             WHEN abs(label::numeric) < 1e-150 THEN 0
             ELSE label::double precision END
    END
$$;

INSERT INTO meta VALUES ('schema', '1'), ('epoch', '0');
