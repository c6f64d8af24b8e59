"""The four ways in which an entity is found. An entity's file fills in one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlmon_sidecar.redact.page import Words

if TYPE_CHECKING:
    from mlmon_sidecar.redact.page import Page

Span = tuple[int, int]

REACH = 48  # characters after a word within which its value begins
LONGEST = 64  # characters of such a value
_PROSE_END = ".,;:)]}"  # ends a sentence or a bracket, not a password

FORM, CONTEXT = True, False
"""Whether a way of writing is enough by itself, or only near a context word."""


@dataclass(frozen=True, slots=True)
class Number:
    """Digits in groups.

    Attributes:
        forms: how the groups are written, lengths with what stands between ("3-2-4"), to ``FORM`` or ``CONTEXT``.
        valid: whether the digits, without separators, can be one.
        words: context words.
    """

    name: str
    forms: Mapping[str, bool]
    valid: Callable[[str], bool]
    words: Words


@dataclass(frozen=True, slots=True)
class Token:
    """Text of a form of its own, begun by something rare.

    Attributes:
        anchors: RE2 alternatives, each ending in a bounded or a greedy last part: what starts a look.
        starts: characters an anchor can begin with.
        find: the confirmed span for an anchor at (start, end), or None.
    """

    name: str
    anchors: tuple[str, ...]
    starts: str
    find: Callable[[Page, int, int], Span | None]


@dataclass(frozen=True, slots=True)
class Worded:
    """A value without a form of its own, known by the word before it.

    Attributes:
        words: lower case.
        value: what may follow within ``REACH`` characters; its group that matched is the value.
        valid: whether a value can be one.
        adjacent: the value follows the word at once, ``value`` matches what lies between too.
        valid_given: for ``adjacent``: the same for a value in any group but the last; None: as ``valid``.
    """

    name: str
    words: tuple[str, ...]
    value: re.Pattern[str]
    valid: Callable[[str], bool] = bool
    adjacent: bool = False
    valid_given: Callable[[str], bool] | None = None

    def find(self, page: Page, start: int, end: int) -> Span | None:
        """The first value after the word that ends at ``end``."""
        limit = page.end(end)
        if self.adjacent:
            match = self.value.match(page.shadow, end, limit)
            return self._confirmed(match, page.shadow) if match else None
        last = min(limit, end + REACH)
        match = self.value.search(page.shadow, end, limit if limit < last + LONGEST else last + LONGEST)
        while match is not None and match.start() < last:
            span = self._confirmed(match, page.shadow)
            if span is not None:
                return span
            match = self.value.search(page.shadow, match.end(), last + LONGEST)
        return None

    def _confirmed(self, match: re.Match[str], shadow: str) -> Span | None:
        group = match.lastindex or 0
        given = self.valid_given if group < match.re.groups else None
        start, end = match.span(group)
        if not (given or self.valid)(shadow[start:end]):
            return None
        return start, start + len(shadow[start:end].rstrip(_PROSE_END)) if self.adjacent else end


@dataclass(frozen=True, slots=True)
class Digits:
    """Digits whose grouping varies too much for a table of forms; looked for in every run of digits.

    Attributes:
        find: confirmed spans within the run (start, end).
        signs: only in runs that hold one of these, two at most; "": in all.
        last: only where no other entity took the digits.
    """

    name: str
    find: Callable[[Page, int, int], Iterable[Span]]
    signs: str = ""
    last: bool = False


Entity = Number | Token | Worded | Digits


def is_free(shadow: str, start: int, end: int) -> bool:
    """Whether nothing adjoins the span that would make it a part of something longer."""
    return left_free(shadow, start) and right_free(shadow, end)


def left_free(shadow: str, start: int) -> bool:
    before = shadow[start - 1] if start else " "
    if before.isalnum() or before in "_$":
        return False
    further = shadow[start - 2] if start > 1 else " "
    return not ((before == "-" and further.isalnum()) or (before == "." and further.isdigit()))


def right_free(shadow: str, end: int) -> bool:
    after = shadow[end] if end < len(shadow) else " "
    if after.isalnum() or after in "_@%":
        return False
    further = shadow[end + 1] if end + 1 < len(shadow) else " "
    return not ((after == "-" and further.isalnum()) or (after == "." and further.isdigit()))
