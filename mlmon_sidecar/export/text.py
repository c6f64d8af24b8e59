"""Text as it may leave the process: always encodable, bounded, one line."""

from __future__ import annotations

MAX_VALUE_CHARACTERS = 256  # of an attribute
MAX_BODY_CHARACTERS = 1024  # of a log record's sentence
MAX_CONTENT_CHARACTERS = 32_768  # of a prompt or an answer as JSON; whoever made it has cut the text itself


def clean(text: object, limit: int = MAX_VALUE_CHARACTERS) -> str:
    """``text`` without control characters and lone surrogates (one would fail the whole request), cut at ``limit``.

    >>> clean("a\\nb" + chr(0xD800))
    'a b?'
    """
    short = str(text)[:limit].encode("utf-8", "replace").decode("utf-8")
    if short.isprintable():  # as nearly all of it is
        return short
    return "".join(character if character.isprintable() else " " for character in short)
