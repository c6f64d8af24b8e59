"""A real model, real requests, and a story in which things go wrong."""
