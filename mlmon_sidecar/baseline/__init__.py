"""What normal looks like: built from data, kept as one document."""
