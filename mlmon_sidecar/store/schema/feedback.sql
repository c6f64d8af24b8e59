-- Feedback: how much a label counts, requests that were answered, and what sources say.

ALTER TABLE labels ADD COLUMN weight REAL NOT NULL DEFAULT 1;

-- What waits is found by its number, however many labels do not wait.
DROP INDEX labels_waiting;
CREATE INDEX labels_pending ON labels (label_id) WHERE state = 'pending';
CREATE INDEX labels_pending_by_id ON labels (id) WHERE state = 'pending';
CREATE INDEX labels_ready ON labels (label_id) WHERE state = 'ready';
CREATE INDEX labels_held ON labels (source) WHERE state = 'quarantined';

-- Requests with an idempotency key, so that a repeated one gets the same answer and changes nothing.
CREATE TABLE feedback_keys (
    key         TEXT PRIMARY KEY,   -- a hash
    digest      TEXT NOT NULL,      -- of what was sent with it
    receipts    TEXT NOT NULL,      -- JSON: [[status, reason], ...]
    received_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX feedback_keys_by_time ON feedback_keys (received_ns);

-- Labels of models with known classes by source and the day they were received.
CREATE TABLE label_sources (
    model  TEXT NOT NULL,
    source TEXT NOT NULL,
    day    INTEGER NOT NULL,  -- Unix day
    label  TEXT NOT NULL,
    taken  INTEGER NOT NULL,
    held   INTEGER NOT NULL,  -- in quarantine
    PRIMARY KEY (model, source, day, label)
) WITHOUT ROWID;
