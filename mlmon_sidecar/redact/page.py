"""What detectors look at: the shadows of all texts of a document, one after the other."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mlmon_sidecar.redact.shadow import BARRIER, SEPARATOR

REACH_BEFORE = 48  # characters in which a context word counts
REACH_AFTER = 32
LOOKS_PER_CLOCK = 64  # candidates between two looks at the clock

_BEGINNING = 3  # letters of a word that tell whether a context word can begin there
_BEGINNINGS = re.compile(rf"(?<![a-z])[a-z]{{1,{_BEGINNING}}}")
_LETTERS = re.compile(r"((?:[a-z](?![?*+{]))*)(\Z|[ #\\]|-(?!\?))?")
_END_AFTER = re.compile(r"[\x1d\x1e\n,;|@0-9]")
_LIST = re.compile(r"[ ,;/&|]{1,3}(?:(?:and|or|und|oder|et|ou|y|o|e) )?")
_VALUE_BETWEEN = re.compile(r"[0-9][0-9 ().\-/]{4,}")  # another value: the word before it speaks of that one


@dataclass(slots=True)
class Words:
    """Context words of one entity, compared with a lower-case shadow as whole words.

    Attributes:
        pattern: alternatives, ASCII; accents and Cyrillic are folded as ``shadow`` does.
        foreign: words of scripts that have no ASCII shadow, compared with the text itself.
    """

    pattern: str
    foreign: tuple[str, ...] = ()
    regex: re.Pattern[str] = field(init=False, repr=False)
    beginnings: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.regex = re.compile(rf"(?<![a-z])(?:{self.pattern})(?![a-z])")
        self.beginnings = frozenset(map(_beginning, self.pattern.split("|")))

    def within(self, near: Near) -> bool:
        if not self.beginnings.isdisjoint(near.beginnings) and self.regex.search(near.words) is not None:
            return True
        return bool(near.text) and any(word in near.text for word in self.foreign)


def _beginning(alternative: str) -> str:
    """The first letters of whatever the alternative matches, as many as a word of the text is known by."""
    match = _LETTERS.match(alternative)
    assert match is not None
    letters = match[1]
    if len(letters) < _BEGINNING and not (letters and match[2] is not None):
        raise ValueError(f"no beginning can be told of {alternative!r}")
    return letters[:_BEGINNING]


class Near(NamedTuple):
    """What stands near a place.

    Attributes:
        words: in small letters, ASCII: before, after and the name above, a line each.
        beginnings: of its words.
        text: before and after as written; "" where all is ASCII.
    """

    words: str
    beginnings: Sequence[str]
    text: str


class OutOfTime(Exception):
    """The document has used up its time."""


class Deadline:
    """The time a document may take, asked for by whatever loops over its text.

    Args:
        now: seconds that the thread worked.
        seconds: > 0.
    """

    __slots__ = ("_end", "_looks", "_now")

    def __init__(self, now: Callable[[], float], seconds: float) -> None:
        self._now, self._end, self._looks = now, now() + seconds, 0

    def grant(self, seconds: float) -> None:
        self._end += seconds

    def look(self) -> None:
        """Counts one candidate. Raises ``OutOfTime``."""
        self._looks += 1
        if self._looks % LOOKS_PER_CLOCK == 0 and self._now() > self._end:
            raise OutOfTime


class Page:
    """Shadows joined by ``SEPARATOR``, and what surrounds a place in them.

    Args:
        shadow: the joined shadows.
        visible: the joined texts at the same offsets; None where all are ASCII.
        starts: offset at which each text begins.
        hints: for each text the words of the name it stands under; "" where it has none.
    """

    def __init__(
        self, shadow: str, visible: str | None, starts: Sequence[int], hints: Sequence[str], deadline: Deadline
    ) -> None:
        self.shadow = shadow
        self.look, self.grant = deadline.look, deadline.grant
        self.visible = visible
        self.starts = starts
        self.hints = hints
        self.taken = 0  # everything before it is decided
        self.last = ""  # the entity that ends there
        self._place = (-1, -1, -1)
        self._near = Near("", (), "")

    def index(self, at: int) -> int:
        """Which text the offset lies in."""
        return bisect_right(self.starts, at) - 1

    def end(self, at: int) -> int:
        """Where the text that holds the offset ends."""
        found = self.shadow.find(SEPARATOR, at)
        return len(self.shadow) if found < 0 else found

    def continues(self, name: str, start: int) -> bool:
        """Whether the span goes on with a list of the same entity: ``a, b and c``."""
        return self.last == name and _LIST.fullmatch(self.shadow, self.taken, start) is not None

    def speaks_of(self, words: Words, start: int, end: int) -> bool:
        """Whether a context word stands near the span, or in the name of its text."""
        place = (start, end, self.taken)
        if place != self._place:  # several entities ask about one place
            self._place, self._near = place, self._around(start, end)
        return words.within(self._near)

    def _around(self, start: int, end: int) -> Near:
        low = max(0, start - REACH_BEFORE, self.taken)
        before = self.shadow[low:start]
        cut = max(before.rfind(SEPARATOR), before.rfind(BARRIER), before.rfind("\n\n")) + 1
        for value in _VALUE_BETWEEN.finditer(before, cut):
            cut = value.end()
        stop = _END_AFTER.search(self.shadow, end, end + REACH_AFTER)
        until = stop.start() if stop else min(end + REACH_AFTER, len(self.shadow))
        words = f"{before[cut:]}\n{self.shadow[end:until]}\n{self.hints[self.index(start)]}".lower()
        text = "" if self.visible is None else f"{self.visible[low + cut : start]}\n{self.visible[end:until]}"
        return Near(words, _BEGINNINGS.findall(words), text)
