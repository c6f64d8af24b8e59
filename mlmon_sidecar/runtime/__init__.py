"""Settings put together with the stages: the middleware, the monitor for jobs, the separate hub."""
