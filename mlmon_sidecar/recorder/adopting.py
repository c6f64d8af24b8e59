"""Another baseline, approved while this process serves: asked for now and then, and taken over at its minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import orjson

from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.recorder.stages import RecordedModel
from mlmon_sidecar.records import MINUTE_NS
from mlmon_sidecar.telemetry import Telemetry

ASK_NS = 5_000_000_000  # a baseline counts two minutes after its approval

MakeModel = Callable[[str, str], RecordedModel]
"""(model, JSON document of the baseline) -> how it is recorded from then on. Raises ``MlmonError``."""


class _Next(NamedTuple):
    baseline: str
    from_minute: int


class Adopting:
    """Which baselines the hub says count, and whether this process counts by them already."""

    def __init__(self, hub: HubClient, clock: Clock, telemetry: Telemetry, make: MakeModel) -> None:
        self._hub, self._clock, self._telemetry, self._make = hub, clock, telemetry, make
        self._ask_ns = 0
        self._next: dict[str, _Next] = {}
        self._counted: dict[str, str] = {}  # model to baseline; one that could not be used is not tried again

    def due(self) -> Iterator[tuple[str, RecordedModel]]:
        """Models whose minute has come, once each. Asks the hub where it was not asked for long; raises nothing."""
        if self._clock.monotonic_ns() >= self._ask_ns:
            self._ask_ns = self._clock.monotonic_ns() + ASK_NS
            self._ask()
        now = self._clock.unix_ns() // MINUTE_NS
        for model, (baseline, from_minute) in list(self._next.items()):
            if now >= from_minute:
                found = self._fetched(model, baseline)
                if found is not None:
                    yield model, found

    def _ask(self) -> None:
        try:
            active = orjson.loads(self._hub.query("baselines", {}))["active"]
        except MlmonError:
            return  # the hub is away, or of an earlier version; asked again
        self._next = {
            model: _Next(baseline, from_minute)
            for model, (baseline, from_minute) in active.items()
            if self._counted.get(model) != baseline
        }

    def _fetched(self, model: str, baseline: str) -> RecordedModel | None:
        try:
            answer = self._hub.query("baseline", {"model": model, "baseline": baseline})
        except MlmonError:
            return None  # asked again
        del self._next[model]
        self._counted[model] = baseline
        try:
            return self._make(model, orjson.loads(answer)["document"])
        except MlmonError as error:
            self._telemetry.failed("adopting", error)
            return None
