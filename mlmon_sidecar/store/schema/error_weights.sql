-- From schema 5 to 6: errors of regression models by the weights of their labels.

-- What labels whose weight is not 1 add to (or take from) each sum of outcome_errors: weight - 1 in 2**-20, times the
-- row's own. Eight whole numbers in decimal, in a JSON array: they may be longer than 64 bits.
CREATE TABLE outcome_error_weights (
    model   TEXT NOT NULL,
    version TEXT NOT NULL,
    day     INTEGER NOT NULL,  -- Unix day of the prediction
    extra   TEXT NOT NULL,
    PRIMARY KEY (model, version, day)
) WITHOUT ROWID;
