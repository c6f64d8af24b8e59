"""What watching a request costs: ``python -m benchmarks.overhead``, with the dependency group ``bench`` installed."""
