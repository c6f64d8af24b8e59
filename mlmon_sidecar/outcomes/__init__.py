"""Labels joined to predictions, and what they say about quality."""
