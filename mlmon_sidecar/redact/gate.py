"""Loose patterns that find candidates in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Find = Callable[[str], Iterator[tuple[int, int]]]

FALLBACK_WINDOW = 2048  # characters the standard ``re`` sees at once: its time may grow with their square
FALLBACK_OVERLAP = 384  # longer than any entity, so that none is lost between two windows
_SURROGATES = re.compile("[\ud800-\udfff]")


def compile_gate(pattern: str) -> Find:
    """A function from a text to the (start, end) spans of candidates.

    RE2 where it is installed; elsewhere (musl) the standard ``re`` on overlapping windows, which may report a span
    twice.
    """
    try:
        import re2
    except ImportError:
        return _windowed(re.compile(pattern))
    return _whole(re2.compile(pattern))


def _whole(compiled: Any) -> Find:
    def find(text: str) -> Iterator[tuple[int, int]]:
        # RE2 refuses lone surrogates; one character for another keeps the offsets.
        return (match.span() for match in compiled.finditer(_SURROGATES.sub("?", text)))

    return find


def _windowed(compiled: re.Pattern[str]) -> Find:
    def find(text: str) -> Iterator[tuple[int, int]]:
        step = FALLBACK_WINDOW - FALLBACK_OVERLAP
        for start in range(0, max(len(text) - FALLBACK_OVERLAP, 1), step):
            for match in compiled.finditer(text[start : start + FALLBACK_WINDOW]):
                yield start + match.start(), start + match.end()

    return find
