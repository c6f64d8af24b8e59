"""The feedback endpoint, the status API and the page."""
