"""A text as the patterns see it: ASCII only, with offsets that lead back to the text.

Full-width and other scripts' digits become ASCII digits, accents fall away, dashes and spaces become plain ones, what
is invisible is left out. So one set of ASCII patterns holds for all spellings.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

FOREIGN = "\x7f"
"""Stands for a character without an ASCII counterpart. Belongs to no word, so that scripts without spaces adjoin."""

BARRIER = "\x1d"
"""Stands where something is already redacted: no entity and no context reaches across."""

SEPARATOR = "\x1e"
"""Between two texts of one document. No pattern matches it."""

MAX_REMEMBERED = 1 << 16  # code points; of a million possible ones a hostile text could send each

_LATIN, _LATIN_AS = "ßøæœłđðþı", "soaoldfti"
_CYRILLIC, _CYRILLIC_AS = "абвгдежзийклмнопрстуфхцчшщыэюяіїєѓґьъ", "abvgdejzijklmnoprstufhccssyeuaiieggjj"
_GREEK, _GREEK_AS = "αβγδεζηθικλμνξοπρστυφχψως", "abgdezetiklmnxoprstufcpos"
_LETTERS = dict(zip(_LATIN + _CYRILLIC + _GREEK, _LATIN_AS + _CYRILLIC_AS + _GREEK_AS, strict=True))
_MARKS = {"‘": "'", "’": "'", "“": '"', "”": '"', "。": ".", "、": ",", "−": "-", "\u2028": "\n", "\u2029": "\n"}


class _Folding(dict[int, "str | None"]):
    """Code point to what stands for it; None for nothing. ``str.translate`` asks for each character once."""

    def __missing__(self, point: int) -> str | None:
        folded = _fold(chr(point))
        if len(self) < MAX_REMEMBERED:
            self[point] = folded
        return folded


def _fold(character: str) -> str | None:
    if character.isascii():
        return character
    if character in _MARKS:
        return _MARKS[character]
    category = unicodedata.category(character)
    if category in ("Mn", "Me", "Cf"):
        return None
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Zs":
        return " "
    if category == "Pd":
        return "-"
    plain = unicodedata.normalize("NFKD", character)[0]
    if plain.isascii():
        return plain if plain.isalnum() or len(unicodedata.normalize("NFKC", character)) == 1 else FOREIGN
    lower = _LETTERS.get(plain.lower())
    return FOREIGN if lower is None else lower.upper() if character.isupper() else lower


_FOLDING = _Folding()


def shadow_of(text: str) -> tuple[str, Sequence[int] | None]:
    """The ASCII shadow, and for each of its characters the place in ``text``; None where places are the same.

    >>> shadow_of("４１１１\\u200b１")
    ('41111', [0, 1, 2, 3, 5, 6])
    """
    if text.isascii():
        return text, None
    shadow = text.translate(_FOLDING)
    if len(shadow) == len(text):
        return shadow, None
    places = [at for at, character in enumerate(text) if _FOLDING[ord(character)] is not None]
    return shadow, [*places, len(text)]


def visible(text: str) -> str:
    """The text without what the shadow leaves out: as long as its shadow."""
    return "".join(character for character in text if _FOLDING[ord(character)] is not None)
