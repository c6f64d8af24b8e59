-- From schema 6 to 7: labelled scores by whether the answer was right. NULL in cells that an earlier schema made: they
-- do not tell.

ALTER TABLE outcome_scores ADD COLUMN hits INTEGER;       -- of count
ALTER TABLE outcome_losses ADD COLUMN hits INTEGER;
ALTER TABLE outcome_losses ADD COLUMN log_hit INTEGER;    -- logarithmic loss of the score of the answer
ALTER TABLE outcome_losses ADD COLUMN hit_score INTEGER;  -- the score of answers that were right
