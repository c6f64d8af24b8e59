"""A set of classes as one text: equal sets are equal texts, wherever they were written. Light: a server loads it."""

from __future__ import annotations

from collections.abc import Iterable

import orjson


def label_set_text(names: Iterable[str]) -> str:
    """Sorted, each once, as a JSON list.

    >>> label_set_text(["b", "a", "b"])
    '["a","b"]'
    """
    return orjson.dumps(sorted(set(names))).decode()


def label_set_of(text: str) -> frozenset[str]:
    """The classes in a text; one that is no list is a class alone, and none is the empty set.

    >>> sorted(label_set_of('["a","b"]')), sorted(label_set_of("a")), sorted(label_set_of(""))
    (['a', 'b'], ['a'], [])
    """
    if text.startswith("["):
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, list):
            return frozenset(map(str, found))
    return frozenset({text} if text else ())
