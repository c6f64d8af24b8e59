"""What stands where something was redacted, and how it is known again: redacting twice changes nothing."""

from __future__ import annotations

import re

from mlmon_sidecar.redact.entities import ENTITIES
from mlmon_sidecar.redact.keys import KEY_LABELS, OTHER
from mlmon_sidecar.redact.shadow import BARRIER

MASK = "<redacted>"
"""In place of the whole value under a masked name, and of what cannot be looked into."""

HASH_VERSION = "h1"

LABELS = frozenset({*ENTITIES, *KEY_LABELS, OTHER})
"""Every name that can stand in a placeholder, and in front of an action in the settings."""

_PLACEHOLDER = re.compile(
    rf"<(?:redacted|{'|'.join(sorted(LABELS))})(?::{HASH_VERSION}:[A-Za-z0-9_-]{{1,32}}:[a-p]{{32}}|:[A-Za-z0-9]{{1,4}}"
    r"|:@[A-Za-z0-9.-]{1,253})?>"
)


def is_placeholder(text: str) -> bool:
    return _PLACEHOLDER.fullmatch(text) is not None


def blank(shadow: str) -> str:
    """The text with placeholders made invisible to patterns, as long as before."""
    if "<" not in shadow:
        return shadow
    return _PLACEHOLDER.sub(lambda match: BARRIER * len(match[0]), shadow)
