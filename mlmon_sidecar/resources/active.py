"""Requests that are being worked on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Protocol

from mlmon_sidecar.records import Measurement


class Open(Protocol):
    model: str


class ActiveSource:
    """``mlmon.request.active`` of each model, 0 where there is none. ``requests`` is another thread's: it is copied,
    which the interpreter does in one piece."""

    def __init__(self, models: Collection[str], requests: Collection[Open]) -> None:
        self._models = models
        self._requests = requests

    def __call__(self) -> Sequence[Measurement]:
        found = Counter(request.model for request in tuple(self._requests))
        return [
            Measurement("mlmon.request.active", found[model], (("mlmon.model.name", model),)) for model in self._models
        ]
