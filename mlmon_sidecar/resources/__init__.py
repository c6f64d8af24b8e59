"""Process and machine figures."""
