"""How long models took to load: said by the application, or else the time its start-up took."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from mlmon_sidecar.records import Measurement

_loaded: dict[str, float] = {}  # model -> seconds; of this process and what it was forked from


@contextmanager
def model_loading(model: str) -> Iterator[None]:
    """``with model_loading("fraud"): ...`` times the loading of a configured model. One that fails was no load."""
    begun = time.perf_counter()
    yield
    _loaded[model] = time.perf_counter() - begun


class LoadingSource:
    """``mlmon.model.load.duration`` of each model."""

    def __init__(self, models: Iterable[str], start_up_seconds: float | None) -> None:
        self._models = tuple(models)
        self._start_up_seconds = start_up_seconds  # None: the application has no lifespan

    def __call__(self) -> Sequence[Measurement]:
        known = {model: _loaded.get(model, self._start_up_seconds) for model in self._models}
        return [
            Measurement("mlmon.model.load.duration", seconds, (("mlmon.model.name", model),))
            for model, seconds in known.items()
            if seconds is not None
        ]
