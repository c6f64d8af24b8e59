"""What counts as personal for one deployment. Hashed, so that a baseline built under another policy is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import orjson

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.redact.keys import DEFAULT_KEYS, STRICT_KEYS, normalise_key

POLICY_FORMAT = 1  # raised when the same settings begin to redact something else


@dataclass(frozen=True)
class RedactionPolicy:
    """Names whose values are masked whole, and entities that are masked wherever a text holds them.

    Attributes:
        preset: where it began; only told to people.
        keys: normalised names (``normalise_key``); each part of a dotted column name is compared exactly.
        entities: keys in ``ENTITIES``.
    """

    preset: str = "default"
    keys: frozenset[str] = DEFAULT_KEYS
    entities: tuple[str, ...] = ("email",)

    @classmethod
    def of(cls, preset: str = "default", mask: tuple[str, ...] = (), allow: tuple[str, ...] = ()) -> RedactionPolicy:
        """A preset with names added (``mask``) and taken out (``allow``). Raises ``ConfigError`` (``bad_preset``)."""
        if preset not in PRESETS:
            raise ConfigError(
                f"privacy.preset: {preset!r} is not a preset",
                code="bad_preset",
                hint=f"Use one of {', '.join(sorted(PRESETS))}.",
            )
        base = PRESETS[preset]
        added, removed = (frozenset(map(normalise_key, names)) for names in (mask, allow))
        return cls(preset, (base.keys | added) - removed, base.entities)

    def masks(self, name: str) -> bool:
        """Whether the value under this name is masked whole; a dotted name by any of its parts."""
        return any(normalise_key(part) in self.keys for part in name.split("."))

    @cached_property
    def hash(self) -> str:
        """16 hex digits over what it masks; presets with the same rules have the same hash."""
        document = {"format": POLICY_FORMAT, "keys": sorted(self.keys), "entities": sorted(self.entities)}
        return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


PRESETS = {
    "default": RedactionPolicy(),
    "strict": RedactionPolicy("strict", STRICT_KEYS),
    "off": RedactionPolicy("off", frozenset(), ()),
}
