"""What an exchange is called: its version, the caller's ids, its segment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from mlmon_sidecar.decode.body import Headers, header
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.decode.sides import Answers, RequestRows
from mlmon_sidecar.records import Exchange
from mlmon_sidecar.selectors import ALIAS_HEADERS, Selector

MAX_NAME_TEXT = 128  # characters of a version or a segment; the rest is cut
MAX_ALIAS = 512  # characters; a longer one is refused, for half an id is another's
BAD_ALIAS = "bad_alias"
"""Key under which ids of the caller's are counted that are no ids: too long, or not printable."""

_ALIAS_HEADERS = frozenset(ALIAS_HEADERS)
_PATH_VERSION = re.compile(r"/versions/([^/:]+)")  # Open Inference Protocol, TensorFlow Serving

Find = Callable[[Selector], object]
"""The value a selector finds in one exchange, whichever side it reads."""


def version_of(exchange: Exchange, options: DecodeOptions, find: Find, request: RequestRows, answers: Answers) -> str:
    """By configuration, else by the path, else as the answer or the request says, else the one of all such."""
    if isinstance(options.version, Selector):
        return version_found(find(options.version), options, answers.version or request.version)
    if options.version:
        return options.constant_version
    return version_found(version_in_path(exchange.path, options), options, answers.version or request.version)


def version_found(found: object, options: DecodeOptions, otherwise: str = "") -> str:
    """As a version may be called: ``found``, of a list the first; else ``otherwise``, else the one of all such."""
    named = class_text(found[0] if isinstance(found, list) and found else found)
    named = (named or otherwise)[:MAX_NAME_TEXT]
    return named if named and named.isprintable() else options.constant_version


def version_in_path(path: str, options: DecodeOptions) -> str:
    for pattern in options.version_paths:
        match = pattern.fullmatch(path)
        if match is not None:
            return match["version"]
    match = _PATH_VERSION.search(path) if "/versions/" in path else None
    return "" if match is None else match[1]


def aliases_of(
    exchange: Exchange,
    options: DecodeOptions,
    find: Find,
    request: RequestRows,
    answers: Answers,
    skipped: Counter[str],
) -> Sequence[str | None]:
    """The caller's id of each row: by selector, else what the body calls its id, else what a header does."""
    if options.id is not None:
        found = find(options.id)
    else:
        own = request.aliases if request.aliases is not None else answers.aliases
        if own is None:
            own = alias_in_headers(exchange.request_headers)
        found = own if own is None or isinstance(own, str) else list(own)
    return aliases_found(found, request.count, skipped)


def alias_in_headers(headers: Headers) -> str | None:
    """The caller's id of the whole request, where a header of common practice has one."""
    for name, _ in headers:
        if name in _ALIAS_HEADERS:
            return next((text for name in ALIAS_HEADERS if (text := header(headers, name))), None)
    return None


def aliases_found(found: object, count: int, skipped: Counter[str]) -> Sequence[str | None]:
    """One text a row, from a list of them or one of the whole request."""
    if found is None:
        return [None] * count
    if isinstance(found, list):
        texts = [_alias(item, skipped) for item in found[:count]]
        return texts + [None] * (count - len(texts))
    text = _alias(found, skipped)
    if text is None or count == 1:
        return [text] * count
    return [f"{text}/{at}" for at in range(count)]


def _alias(value: object, skipped: Counter[str]) -> str | None:
    text = value if isinstance(value, str) else class_text(value)  # a class may be cut, an id may not
    if not text:
        return None
    if len(text) <= MAX_ALIAS and text.isprintable():
        return text
    skipped[BAD_ALIAS] += 1
    return None


def segments_of(options: DecodeOptions, find: Find, count: int) -> Sequence[str | None]:
    """One text a row. A single value is every row's."""
    return segments_found(None if options.segment is None else find(options.segment), count)


def segments_found(found: object, count: int) -> Sequence[str | None]:
    """``segments_of``, out of what the selector finds."""
    if isinstance(found, list):
        texts = [class_text(item) for item in found[:count]]
        return [text and text[:MAX_NAME_TEXT] for text in texts] + [None] * (count - len(texts))
    return [(class_text(found) or "")[:MAX_NAME_TEXT] or None] * count
