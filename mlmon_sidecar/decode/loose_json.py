"""JSON that is expected in a shape and may come in any: what is not as expected is empty, never an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

MAX_NAME = 128  # characters of a model, an id, a finish reason or an error type


def numbers(document: Mapping[str, Any], names: Sequence[str]) -> dict[str, object]:
    """The parameters of a request that are numbers or switches."""
    found = {name: document.get(name) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def name_of(value: object) -> str:
    """A model, an id or an error's kind as text; "" for anything else."""
    if isinstance(value, str):
        return value[:MAX_NAME]
    return str(value)[:MAX_NAME] if isinstance(value, int) and not isinstance(value, bool) else ""


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def texts_in(content: object) -> list[str]:
    """The texts of a message's content: one text, or a list of parts of which some are text."""
    if isinstance(content, str):
        return [content]
    return [text for part in items(content) if isinstance(text := mapping(part).get("text"), str)]
