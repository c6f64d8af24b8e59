"""What a name says about its value, worked out once for each name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlmon_sidecar.redact.entities.kinds import Worded
from mlmon_sidecar.redact.keys import OTHER, normalise_key
from mlmon_sidecar.redact.policy import Action, RedactionPolicy
from mlmon_sidecar.redact.scanner import Scanner

MAX_REMEMBERED = 4096  # names; then the memory starts afresh
MAX_NAME = 256  # characters of a name that is remembered

Path = tuple[str | int, ...]


class KeyRule(NamedTuple):
    """One name.

    Attributes:
        written: the name without personal data of its own.
        action: what becomes of the value; None: it is looked into.
        label: the entity the value is.
        hint: the name as words, context for what the value holds.
        worded: entities that a value under this name may be without a further word.
        survives: False where an allowlist leaves it out.
    """

    written: str
    action: Action | None
    label: str
    hint: str
    worded: tuple[Worded, ...]
    survives: bool


NO_RULE = KeyRule("", None, "", "", (), True)


class KeyRules:
    """The rules of one policy.

    Args:
        clean: a text without personal data, for names that are some.
    """

    def __init__(self, policy: RedactionPolicy, scanner: Scanner, clean: Callable[[str], str]) -> None:
        self._policy, self._scanner, self._clean = policy, scanner, clean
        self._remembered: dict[str, KeyRule] = {}
        self._exact = {name: action for name, action in policy.fields.items() if "." not in name}
        self._dotted = [(name.split("."), action) for name, action in policy.fields.items() if "." in name]
        self.selective = bool(policy.only)

    def of(self, name: str, path: Path = ()) -> KeyRule:
        """The rule for a name in a document; ``path`` leads to what holds it."""
        rule = self._remembered.get(name)
        if rule is None:
            rule = self._worked_out(name)
            if len(name) <= MAX_NAME:
                if len(self._remembered) >= MAX_REMEMBERED:
                    self._remembered.clear()
                self._remembered[name] = rule
        return self._at(path, name, rule) if self._dotted else rule

    def _worked_out(self, name: str) -> KeyRule:
        parts = [normalise_key(part) for part in name[:MAX_NAME].split(".")]
        label = self._policy.label(name[:MAX_NAME])
        action = None if label is None else self._policy.action(label)
        if action is Action.KEEP:  # the entity is kept under its name; other entities are not
            action = None
        for part in parts:
            action = self._exact.get(part, action)
        hint = " ".join(parts).replace("_", " ")
        survives = not self.selective or not self._policy.only.isdisjoint(parts)
        return KeyRule(self._clean(name), action, label or OTHER, hint, self._scanner.worded_by(hint), survives)

    def _at(self, path: Path, name: str, rule: KeyRule) -> KeyRule:
        parts = [normalise_key(part) for step in (*path, name) if isinstance(step, str) for part in step.split(".")]
        for pattern, action in self._dotted:
            if _matches(pattern, parts):
                rule = rule._replace(action=action)
        return rule


def _matches(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether the path ends as the pattern says: a payload's outer levels differ from protocol to protocol."""
    return len(pattern) <= len(parts) and all(
        want in ("*", part) for want, part in zip(reversed(pattern), reversed(parts), strict=False)
    )
