"""Texts that stand for values: the cells of CSV and the fields of forms, which carry no types.

A column has one type: integer, number or boolean where every cell that is not empty is one, else text. Zero-padded
digits ("01234": a post code) are text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_WHOLE: Final = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_NUMBER: Final = re.compile(
    r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,30})?|[+-]?(?:inf|Infinity)", re.ASCII
)
MISSING: Final = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"})
"""What stands for a missing number; in columns of text only "" is missing ("NA" is Namibia)."""
_BOOLEANS: Final = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_NUMERIC: Final = re.compile(r"[0-9+\-.eE\n]+")
_INTEGRAL: Final = re.compile(r"[0-9+\-\n]+")
_PADDED: Final = re.compile(r"^[+-]?0[0-9]", re.MULTILINE)
MAX_PLAIN: Final = 18  # characters that surely fit 64 bits
MAX_NUMBER: Final = 400  # characters; longer ones are text


def typed(cells: Sequence[str]) -> list[object]:
    """One column's cells as integers, numbers, booleans or texts; None where missing.

    >>> typed(["1", "", "3"]), typed(["1", "2.5", "NA"]), typed(["01234", "NA"])
    ([1, None, 3], [1.0, 2.5, None], ['01234', 'NA'])
    """
    if "" in cells:
        numbers = _plain_numbers([cell for cell in cells if cell])
        if numbers is not None:
            rest = iter(numbers)
            return [next(rest) if cell else None for cell in cells]
    else:
        numbers = _plain_numbers(cells)
        if numbers is not None:
            return numbers
    kinds = {kind_of(cell) for cell in cells}
    if kinds <= {int, None}:
        return [int(cell) if cell not in MISSING else None for cell in map(str.strip, cells)]
    if kinds <= {int, float, None}:
        return [float(cell) if cell not in MISSING else None for cell in map(str.strip, cells)]
    if kinds <= {bool, None}:
        return [_BOOLEANS.get(cell.strip()) for cell in cells]
    return [cell or None for cell in cells]


def _plain_numbers(cells: Sequence[str]) -> list[object] | None:
    """Numbers of the usual form, at once; None where a closer look is needed."""
    joined = "\n".join(cells)
    if not _NUMERIC.fullmatch(joined) or _PADDED.search(joined) or max(map(len, cells)) > MAX_PLAIN:
        return None
    try:
        return list(map(int if _INTEGRAL.fullmatch(joined) else float, cells))
    except ValueError:
        return None


def value_of(text: str) -> object:
    """One text by itself.

    >>> value_of("0.5"), value_of("fraud"), value_of("")
    (0.5, 'fraud', None)
    """
    return typed([text])[0]


def kind_of(cell: str) -> type | None:
    """int, float, bool or str; None for what stands for a missing number."""
    cell = cell.strip()
    if cell in MISSING:
        return None
    if _WHOLE.fullmatch(cell):
        return int
    if len(cell) <= MAX_NUMBER and _NUMBER.fullmatch(cell):
        return float
    return bool if cell in _BOOLEANS else str
