"""Whether a text may hold more once what was found in it is replaced. Most do not, and are not looked at again."""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.redact.entities.kinds import Span


def is_within(shadow: str, start: int, end: int, one: tuple[int, int, str]) -> bool:
    """Whether the candidate is no more than what was found, but for signs that a run of digits takes."""
    if start < one[0] or start >= one[1]:
        return False
    tail = shadow[one[1] : end]
    return not tail or not (tail.strip(" ().-/") or (tail[-1] in "-." and shadow[end : end + 1].isalnum()))


def outside(loose: Sequence[Span], found: Sequence[tuple[int, int, str]], shadow: str) -> list[Span]:
    """Of the candidates those that are not within what was found after all, and of what was found what goes on.

    What a replacement leaves can only hold more where a candidate is left, or where it begins within a word.
    """
    rest, at = [], 0
    for start, end in loose:
        while at + 1 < len(found) and found[at][1] <= start:
            at += 1
        if not is_within(shadow, start, end, found[at]):
            rest.append((start, end))
    for start, end, _ in found:
        before = shadow[start - 1] if start else " "
        after = shadow[end] if end < len(shadow) else " "
        if before.isalnum() or after.isalnum() or before == "_" or after == "_":
            rest.append((start, end))
    return rest
