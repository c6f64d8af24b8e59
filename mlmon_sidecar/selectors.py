"""Where in an exchange a value is: a small path language, compiled once.

============================  =========================================================================
``request.a.b``               member ``b`` of member ``a`` of the request's JSON
``response.predictions[0]``   the first element (negative counts from the end)
``response[*].score``         ``score`` of every element: one value a row
``request["odd.name"].x``     a member whose name has dots, brackets or spaces
``header.x-request-id``       a request header, else a response header, of that name
============================  =========================================================================

A path without ``[*]`` that meets a list of objects where it wants a member applies to each of them.
What is absent is None; nothing raises on a body of another shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from mlmon_sidecar.errors import ConfigError

MAX_TEXT = 512  # characters of a selector; longer ones are mistakes
SOURCES = ("request", "response", "header")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # token of RFC 9110, section 5.6.2
_STEP = re.compile(r'\.(?P<name>[^.\[\]"\s]+)|\[(?P<index>-?\d{1,9})\]|\[(?P<each>\*)\]|\["(?P<quoted>[^"]+)"\]')


class Each(Enum):
    """The step ``[*]``."""

    ELEMENT = "*"


Step = str | int | Each


@dataclass(frozen=True, slots=True)
class Selector:
    """A compiled path. ``steps`` is empty for the whole body; for a header it is its lower-case name."""

    text: str
    source: str  # one of SOURCES
    steps: tuple[Step, ...]

    @classmethod
    def compile(cls, text: str) -> Selector:
        """Raises ``ConfigError`` (code ``bad_selector``) with a hint that points at the place."""
        if len(text) > MAX_TEXT:
            raise _bad(text[:40] + "...", f"A selector has at most {MAX_TEXT} characters.")
        source = re.split(r"[.\[]", text, maxsplit=1)[0]
        if source not in SOURCES:
            raise _bad(text, "Begin with 'request', 'response' or 'header.', as in 'response.score'.")
        rest = text[len(source) :]
        if source == "header":
            name = rest.removeprefix(".")
            if rest == name or not _HEADER_NAME.fullmatch(name):
                raise _bad(text, "Write a header as 'header.x-request-id'.")
            return cls(text, source, (name.lower(),))
        return cls(text, source, _steps(text, rest))

    @property
    def member(self) -> str | None:
        """Dotted name of the request's column this selects, or None for anything else."""
        if self.source != "request" or not self.steps:
            return None
        names = [step for step in self.steps if isinstance(step, str)]
        return ".".join(names) if len(names) == len(self.steps) else None

    def find(self, document: object) -> object:
        """The value at the path, or None. A list with one item per element where the path spreads over a list."""
        return _walk(document, self.steps)

    def find_in(self, documents: Iterable[object]) -> list[object]:
        """``find`` in each of them."""
        steps = self.steps
        if len(steps) == 1 and isinstance(name := steps[0], str):  # what most are
            return [one.get(name) if type(one) is dict else _walk(one, steps) for one in documents]
        return [_walk(one, steps) for one in documents]


DEFAULT_MAX_ROWS = 10_000  # rows of one request; a request with more is counted, not read

PROTOCOL_HEADERS = frozenset({b"content-type", b"content-encoding", b"inference-header-content-length"})
"""Headers that say how a body is to be read."""

ALIAS_HEADERS = (b"x-amzn-sagemaker-inference-id", b"ce-id", b"x-request-id")
"""Where callers put their own id when nobody says otherwise: SageMaker's inference id, CloudEvents, common practice."""


def named_headers(selectors: Iterable[Selector]) -> frozenset[bytes]:
    """Lower-case names of the headers that are read."""
    return frozenset(str(each.steps[0]).encode("latin-1") for each in selectors if each.source == "header")


def _steps(text: str, rest: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        match = _STEP.match(rest, at)
        if match is None:
            place = len(text) - len(rest) + at
            raise _bad(text, f'Cannot read it from character {place} on: use .name, [0], [*] or ["odd name"].')
        at = match.end()
        if match["each"]:
            steps.append(Each.ELEMENT)
        elif match["index"]:
            steps.append(int(match["index"]))
        else:
            steps.append(match["name"] or match["quoted"])
    if steps.count(Each.ELEMENT) > 1:
        raise _bad(text, "A selector may have one [*]: one value a row.")
    return tuple(steps)


def _walk(value: object, steps: tuple[Step, ...]) -> object:
    for at, step in enumerate(steps):
        if isinstance(step, str):
            if isinstance(value, list):
                return [_walk(item, steps[at:]) if isinstance(item, Mapping) else None for item in value]
            if not isinstance(value, Mapping):
                return None
            value = value.get(step)
        elif not isinstance(value, list):
            return None
        elif isinstance(step, Each):
            return [_walk(item, steps[at + 1 :]) for item in value]
        else:
            value = value[step] if -len(value) <= step < len(value) else None
    return value


def _bad(text: str, hint: str) -> ConfigError:
    return ConfigError(f"selector {text!r} cannot be read", code="bad_selector", hint=hint)
