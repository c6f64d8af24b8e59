"""One check per file; each a pure function of integers."""
