
-- Detectors of segments: large, and changed once an hour, so they are not written with every seal.

CREATE TABLE segment_states (
    model TEXT PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID;
