"""History through the engine that serves: the same counting, evaluation and incidents, on event time."""
