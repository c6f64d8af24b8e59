"""Work that can be left in the middle: it yields where others may go on."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

Result = TypeVar("Result")


def finished(work: Generator[None, None, Result]) -> Result:
    """What the work comes to, done without a pause.

    >>> def halves():
    ...     yield
    ...     return 2
    >>> finished(halves())
    2
    """
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # what the generator returns
