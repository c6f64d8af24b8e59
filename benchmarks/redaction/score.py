"""What a redactor found and what it harmed, against what was planted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.redaction.corpus import Document, Path, Place, Planted

GONE = object()
HOWS = ("form", "key", "context")


@dataclass
class Score:
    """Counts over documents."""

    planted: Counter[str] = field(default_factory=Counter)  # how -> values
    found: Counter[str] = field(default_factory=Counter)
    harmless: int = 0
    altered: int = 0
    numbers: int = 0
    numbers_altered: int = 0
    documents: int = 0
    unreadable: int = 0  # outputs that are no JSON
    missed: Counter[tuple[str, str]] = field(default_factory=Counter)  # (how, entity)
    harmed: Counter[str] = field(default_factory=Counter)  # kind
    examples: list[tuple[str, Any]] = field(default_factory=list)  # of the split that may be looked into

    def add(self, document: Document, output: Any, *, show: bool) -> None:
        """``output``: the redacted document, decoded; ``GONE`` where it could not be."""
        self.documents += 1
        if output is GONE:
            self.unreadable += 1
        for place in document.places:
            if isinstance(place.mark, Planted):
                self._planted(place, output, show)
            else:
                self._harmless(place, output, show)

    def recall(self, how: str) -> float:
        return self.found[how] / max(1, self.planted[how])

    @property
    def overall(self) -> float:
        return sum(self.found.values()) / max(1, sum(self.planted.values()))

    @property
    def altered_share(self) -> float:
        return self.altered / max(1, self.harmless)

    def _planted(self, place: Place, output: Any, show: bool) -> None:
        mark = place.mark
        assert isinstance(mark, Planted)
        self.planted[mark.how] += 1
        left = core(mark.value)
        value = at(output, place)
        if value is GONE or left not in core(value):
            self.found[mark.how] += 1
            return
        self.missed[mark.how, mark.entity] += 1
        if show:
            self.examples.append((f"missed {mark.how} {mark.entity} at {place.path}", value))

    def _harmless(self, place: Place, output: Any, show: bool) -> None:
        value, given = at(output, place), place.mark.value
        number = isinstance(given, int | float) and not isinstance(given, bool)
        self.harmless += 1
        self.numbers += number
        if place.inside:
            same = value is not GONE and str(given) in str(value)
        else:
            same = value == given and type(value) is type(given)
        if same:
            return
        self.altered += 1
        self.numbers_altered += number
        kind = getattr(place.mark, "kind", "")
        self.harmed[kind] += 1
        if show:
            self.examples.append((f"altered {kind} {given!r} at {place.path}", None if value is GONE else value))


def core(value: Any) -> str:
    """Letters and digits alone, small: masks that leave the value readable do not count."""
    return "".join(character for character in str(value).casefold() if character.isalnum())


def at(output: Any, place: Place) -> Any:
    """The value at the place, in a JSON text there too; ``GONE`` where there is none any more."""
    value = _walk(output, place.path)
    if place.within is None or value is GONE:
        return value
    try:
        return _walk(json.loads(value), place.within)
    except (TypeError, ValueError):
        return value  # the text is no document any more: what is left of it is looked through whole


def _walk(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step, GONE)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return GONE
    return value
