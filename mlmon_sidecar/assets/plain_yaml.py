"""Plain data as block YAML, as far as the assets need it. Texts that YAML might take for more are quoted as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:-]*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}  # YAML 1.1 takes these for something else


def to_yaml(document: Any, comment: str = "") -> str:
    """``document`` of mappings, lists, texts, numbers and booleans; ``comment`` stands before it.

    >>> to_yaml({"a": [1, {"b": "c d", "e": {}}]})
    'a:\\n  - 1\\n  - b: "c d"\\n    e: {}\\n'
    """
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + "".join(f"{line}\n" for line in _lines(document))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _member(f"{_scalar(key)}:", member)
    elif isinstance(value, list) and value:
        for member in value:
            first, *rest = _lines(member)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _scalar(value)


def _member(key: str, member: Any) -> Iterator[str]:
    if isinstance(member, dict | list) and member:
        yield key
        yield from (f"  {line}" for line in _lines(member))
    else:
        yield f"{key} {_scalar(member)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not value.endswith(":"):
        return value
    return json.dumps(value, ensure_ascii=False)
