"""The event loop's part: a passive tee around the application, and the bounded hand-off behind it."""
