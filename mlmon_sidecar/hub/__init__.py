"""Takes flushes once, seals minutes, evaluates, joins labels."""
