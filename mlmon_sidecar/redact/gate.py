"""One pattern that finds where a look is worth while, in one pass and in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Find = Callable[[str], Iterator[tuple[int, int]]]

FALLBACK_MAX_CHARACTERS = 1 << 20
"""What the standard ``re`` is given of one document; a longer one is refused. It takes twenty times as long as RE2."""

# Four digits or more with little between them. Each alternative of the gate is a bounded beginning and a greedy rest
# that cannot fail: one that could give up late would make RE2 read the same text again and again.
_SIGN = r"[ ().\-/]?"
DIGITS = rf"[0-9]{_SIGN}{_SIGN}[0-9]{_SIGN}{_SIGN}[0-9]{_SIGN}{_SIGN}[0-9][0-9 ().\-/]*"


class TextTooLong(Exception):
    """More text than the engine at hand is given."""


def gate_pattern(anchors: Iterable[str], words: Iterable[str]) -> str:
    """Anchors, then words in any case, then runs of digits. At one place the first that matches is taken."""
    longest_first = sorted({re.escape(word).replace(r"\ ", " ") for word in words}, key=lambda word: (-len(word), word))
    alternatives = [*dict.fromkeys(anchors)]
    if longest_first:
        alternatives.append(rf"(?:\b|_)(?i:{'|'.join(longest_first)})")
    return "|".join([*alternatives, DIGITS])


def compile_gate(pattern: str) -> Find:
    """A function from an ASCII text to the (start, end) spans of candidates.

    RE2 where it is installed, elsewhere (musl) the standard ``re``, which finds the same.
    """
    try:
        import re2
    except ImportError:
        return _standard(re.compile(pattern, re.ASCII))
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # one byte a character: offsets are those of the text
    return _linear(re2.compile(pattern.encode("ascii"), options))


def _linear(compiled: Any) -> Find:
    def find(text: str) -> Iterator[tuple[int, int]]:
        return (match.span() for match in compiled.finditer(text.encode("ascii")))

    return find


def _standard(compiled: re.Pattern[str]) -> Find:
    def find(text: str) -> Iterator[tuple[int, int]]:
        if len(text) > FALLBACK_MAX_CHARACTERS:
            raise TextTooLong
        return (match.span() for match in compiled.finditer(text))

    return find


def warm(find: Find, examples: Sequence[str]) -> None:
    """RE2 builds its automaton as it reads: what is read here costs the first document nothing."""
    for example in examples:
        for _ in find(example):
            pass
