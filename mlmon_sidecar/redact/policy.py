"""What counts as personal for one deployment, and what becomes of it. Hashed, so that a baseline built under another
policy is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from functools import cached_property

import orjson

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.redact.entities import ENTITIES, NATIONAL_ID, NATIONAL_IDS
from mlmon_sidecar.redact.hash_keys import HashKeys
from mlmon_sidecar.redact.keys import DEFAULT_KEYS, HIPAA_KEYS, OTHER, STRICT_KEYS, label_of, normalise_key
from mlmon_sidecar.redact.placeholders import LABELS

POLICY_FORMAT = 3  # raised when the same settings begin to redact something else

PLAIN_NAMES = frozenset({"prediction", "version"})
"""What texts of predictions and versions pass under: no fields, so an allowlist does not concern them."""


class Action(Enum):
    """What becomes of a value."""

    DROP = "drop"  # it is gone: the member, or the text of the entity
    MASK = "mask"  # its entity in angle brackets
    PARTIAL = "partial"  # the last four characters stay; of an e-mail address the domain
    HASH = "hash"  # a keyed hash: equal values stay equal
    KEEP = "keep"  # as it is


@dataclass(frozen=True)
class RedactionPolicy:
    """Names whose values are personal, entities that are looked for in every text, and an action for each.

    Attributes:
        preset: where it began; only told to people.
        keys: normalised name (``normalise_key``) to entity; each part of a dotted column name is compared.
        entities: keys in ``ENTITIES``.
        actions: entity to action; ``MASK`` for those not named.
        fields: name, or dotted path with ``*`` for one part, to action. Stronger than all else.
        only: names that survive at all; empty: all do.
        allowed: names that are not personal, whatever ``keys`` says of their parts.
        hash_keys: needed where an action is ``HASH``; no part of comparison, repr or hash.
    """

    preset: str = "default"
    keys: Mapping[str, str] = field(default_factory=lambda: DEFAULT_KEYS)
    entities: tuple[str, ...] = tuple(ENTITIES)
    actions: Mapping[str, Action] = field(default_factory=dict)
    fields: Mapping[str, Action] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    hash_keys: HashKeys | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if Action.HASH in {*self.actions.values(), *self.fields.values()} and self.hash_keys is None:
            raise ConfigError(
                "privacy: the action hash needs a key",
                code="no_hash_key",
                hint="Name a file in privacy.hash_key_file or a variable in privacy.hash_key_env.",
            )

    @classmethod
    def of(
        cls,
        preset: str = "default",
        mask: Iterable[str] = (),
        allow: Iterable[str] = (),
        *,
        entities: Sequence[str] = (),
        actions: Sequence[str] = (),
        fields: Sequence[str] = (),
        only: Iterable[str] = (),
        hash_keys: HashKeys | None = None,
    ) -> RedactionPolicy:
        """A preset and what the settings change of it.

        Args:
            mask: names added.
            allow: names taken out.
            entities: looked for in texts instead of the preset's.
            actions: ``entity=action``.
            fields: ``name=action`` or ``path.to.name=action``.
            only: names that survive.
            hash_keys: for the action ``hash``.

        Raises:
            ConfigError: ``bad_preset``, ``bad_entity``, ``bad_action``, ``no_hash_key``.
        """
        if preset not in PRESETS:
            raise ConfigError(
                f"privacy.preset: {preset!r} is not a preset",
                code="bad_preset",
                hint=f"Use one of {', '.join(sorted(PRESETS))}.",
            )
        base = PRESETS[preset]
        removed = frozenset(map(normalise_key, allow))
        keys = {name: label for name, label in base.keys.items() if name not in removed}
        keys |= {name: DEFAULT_KEYS.get(name, OTHER) for name in map(normalise_key, mask) if name not in removed}
        chosen = tuple(_known_entities(entities)) if entities else base.entities
        return cls(
            preset,
            keys,
            tuple(name for name in ENTITIES if name in chosen),
            {**base.actions, **_entity_actions(actions)},
            {**base.fields, **dict(_parsed(fields, "privacy.fields"))},
            frozenset(map(normalise_key, only)),
            removed,
            hash_keys,
        )

    def label(self, name: str) -> str | None:
        """The entity that a value under this name is; a dotted name by any of its parts."""
        for part in name.split("."):
            if normalise_key(part) not in self.allowed and (label := label_of(part, self.keys)) is not None:
                return label
        return None

    def masks(self, name: str) -> bool:
        """Whether the value under this name is not kept as it is."""
        label = self.label(name)
        return label is not None and self.action(label) is not Action.KEEP

    def action(self, entity: str) -> Action:
        return self.actions.get(entity, Action.MASK)

    @cached_property
    def hash(self) -> str:
        """16 hex digits over everything that changes what comes out; presets with the same rules have the same hash."""
        document = {
            "format": POLICY_FORMAT,
            "keys": self.keys,
            "entities": sorted(self.entities),
            "actions": {name: action.value for name, action in self.actions.items() if action is not Action.MASK},
            "fields": {name: action.value for name, action in self.fields.items()},
            "only": sorted(self.only),
            "allowed": sorted(self.allowed),
            "hash_key": self.hash_keys.active if self.hash_keys and self._hashes() else "",
        }
        return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]

    def _hashes(self) -> bool:
        return Action.HASH in {*self.actions.values(), *self.fields.values()}


def _known_entities(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        if name == NATIONAL_ID:
            yield from NATIONAL_IDS
        elif name in ENTITIES:
            yield name
        else:
            raise _unknown("privacy.entities", name, {*ENTITIES, NATIONAL_ID}, "bad_entity", "an entity")


def _entity_actions(entries: Sequence[str]) -> dict[str, Action]:
    actions: dict[str, Action] = {}
    for name, action in _parsed(entries, "privacy.actions"):
        if name not in LABELS:
            raise _unknown("privacy.actions", name, LABELS, "bad_entity", "an entity")
        actions |= dict.fromkeys((NATIONAL_ID, *NATIONAL_IDS) if name == NATIONAL_ID else (name,), action)
    return actions


def _parsed(entries: Sequence[str], place: str) -> Iterable[tuple[str, Action]]:
    known = {action.value: action for action in Action}
    for entry in entries:
        name, equals, action = (part.strip() for part in entry.partition("="))
        if not equals or not name:
            raise ConfigError(f"{place}: {entry!r} has no action", code="bad_action", hint="Write name=action.")
        if action not in known:
            raise _unknown(place, action, known, "bad_action", "an action")
        yield ".".join(part if part == "*" else normalise_key(part) for part in name.split(".")), known[action]


def _unknown(place: str, name: str, known: Iterable[str], code: str, what: str) -> ConfigError:
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Use one of {', '.join(sorted(known))}."
    return ConfigError(f"{place}: {name!r} is not {what}", code=code, hint=hint)


PRESETS = {
    "default": RedactionPolicy(),
    "strict": RedactionPolicy("strict", STRICT_KEYS),
    # PCI DSS 4.0, 3.3.1: security codes are not kept at all; 3.4.1: of a card number not more than its ends is shown.
    "pci": RedactionPolicy("pci", DEFAULT_KEYS, actions={"card": Action.PARTIAL, "card_security": Action.DROP}),
    "hipaa": RedactionPolicy("hipaa", HIPAA_KEYS),
    "off": RedactionPolicy("off", {}, ()),
}
