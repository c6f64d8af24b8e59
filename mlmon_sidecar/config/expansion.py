"""``${VAR}`` and ``${VAR:-default}`` inside the strings of a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mlmon_sidecar.config.shape import Key

_REFERENCE = re.compile(r"\$(?P<literal>\$)?\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_ANY_OPEN = re.compile(r"(?<!\$)\$\{")


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with its references replaced; ``$${NAME}`` stays ``${NAME}``. An empty variable counts as not set
    where there is a default.

    Raises ``ValueError`` with one sentence for a variable that is not set, and for a ``${`` that is no reference.
    """
    if _ANY_OPEN.search(_REFERENCE.sub("", text)):
        raise ValueError("has a '${' that is not a reference; write ${NAME}, ${NAME:-default}, or $${NAME} for itself")

    def replace(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        if match["literal"]:
            return match[0][1:]
        if default is not None:
            return environ.get(name) or default
        if name not in environ:
            raise ValueError(f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}")
        return environ[name]

    return _REFERENCE.sub(replace, text)


def expand_tree(value: Any, environ: Mapping[str, str], problems: dict[Key, str], key: Key = ()) -> Any:
    """A file's values with every string expanded. What cannot be expanded stays and is added to ``problems``."""
    if isinstance(value, str):
        try:
            return expand(value, environ)
        except ValueError as error:
            problems[key] = str(error)
            return value
    if isinstance(value, dict):
        return {name: expand_tree(inner, environ, problems, (*key, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [expand_tree(inner, environ, problems, (*key, at)) for at, inner in enumerate(value)]
    return value


def leaves(value: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value that is not a table, with its key."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from leaves(inner, (*key, name))
    else:
        yield key, value
