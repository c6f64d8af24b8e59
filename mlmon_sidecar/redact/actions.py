"""What stands in place of a value."""

from __future__ import annotations

import orjson

from mlmon_sidecar.redact.placeholders import MASK, is_placeholder
from mlmon_sidecar.redact.policy import Action, RedactionPolicy

KEPT_CHARACTERS = 4  # of a value that is kept in part
MIN_PARTIAL = 8  # letters and digits; of a shorter value nothing is kept


def in_text(policy: RedactionPolicy, entity: str, text: str) -> str:
    """In place of an entity found inside a text: "" for one that is dropped."""
    action = policy.action(entity)
    return "" if action is Action.DROP else _replacement(policy, action, entity, text, f"<{entity}>")


def in_every_text(policy: RedactionPolicy, entity: str) -> str | None:
    """What ``in_text`` gives whatever the value is; None if it depends on the value."""
    action = policy.action(entity)
    if action is Action.PARTIAL or (action is Action.HASH and policy.hash_keys is not None):
        return None
    return in_text(policy, entity, "")


def of_value(policy: RedactionPolicy, action: Action, entity: str, value: object) -> object:
    """In place of a whole value under a personal name. ``Action.DROP`` is the caller's."""
    if value == MASK or (isinstance(value, str) and is_placeholder(value)):
        return value
    if action is Action.MASK or isinstance(value, (dict, list, tuple)):
        return MASK
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return _replacement(policy, action, entity, text, MASK)


def _replacement(policy: RedactionPolicy, action: Action, entity: str, text: str, mask: str) -> str:
    if action is Action.HASH and policy.hash_keys is not None:
        return policy.hash_keys.placeholder(entity, text)
    if action is Action.PARTIAL:
        kept = _kept(entity, text)
        return f"<{entity}:{kept}>" if kept else mask
    return mask


def _kept(entity: str, text: str) -> str:
    local, at, domain = text.rpartition("@")
    if entity == "email" and at and local and domain.isascii() and domain.replace("-", "").replace(".", "").isalnum():
        return f"@{domain}"
    characters = [character for character in text if character.isascii() and character.isalnum()]
    return "".join(characters[-KEPT_CHARACTERS:]) if len(characters) >= MIN_PARTIAL else ""
