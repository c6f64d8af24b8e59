"""Names of people and places in prose, which have no form: a language model on this machine is asked, within a budget.

Only fields that hold prose, only where it was asked for, and never over the network. What the budget does not allow is
masked whole: unread prose is not kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from mlmon_sidecar.redact.rules import KeyRule
from mlmon_sidecar.redact.scanner import Found

PROSE_FIELDS = frozenset(
    "text prompt content message comment comments notes note description query question answer body review input "
    "output "
    "summary transcript feedback subject title instruction completion".split()
)
WHOLE = "free_text"
"""The entity of a field that was masked because nobody had time to read it."""

Reader = Callable[[str], Sequence[Found]]
"""A text to the spans of names in it; slow."""


class Prose:
    """Asks a reader about prose fields.

    Args:
        read: the model.
        share: of each second of wall clock that reading may take, in (0, 1].
        fields: normalised names.
        now: seconds, monotonic.
    """

    def __init__(
        self,
        read: Reader,
        share: float,
        fields: frozenset[str] = PROSE_FIELDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._share, self._fields, self._now = read, share, fields, now
        self._second = now()
        self._spent = 0.0

    def add(
        self, texts: Sequence[str], rules: Sequence[KeyRule], found: dict[int, list[Found]]
    ) -> dict[int, list[Found]]:
        """What was found and the names in those texts that are prose; spans of a text do not overlap."""
        for index, (text, rule) in enumerate(zip(texts, rules, strict=True)):
            if rule.hint.replace(" ", "_") in self._fields and " " in text.strip():
                known = found.get(index, [])
                spans = self._within_budget(text)
                merged = [Found(0, len(text), WHOLE)] if spans is None else _apart(known, spans)
                if merged:
                    found[index] = merged
        return found

    def _within_budget(self, text: str) -> Sequence[Found] | None:
        begun = self._now()
        if begun - self._second >= 1.0:
            # What was spent beyond a second's share is owed by the next ones.
            self._spent = max(0.0, self._spent - self._share * (begun - self._second))
            self._second = begun
        if self._spent >= self._share:
            return None
        spans = self._read(text)
        self._spent += self._now() - begun
        return spans


def _apart(known: Sequence[Found], names: Sequence[Found]) -> list[Found]:
    """Names that overlap what is known by its form give way to it."""
    spans = list(known)
    for name in names:
        if all(name.end <= other.start or name.start >= other.end for other in spans):
            spans.append(name)
    return sorted(spans)
