"""One walk over a decoded document: a copy, the places of its texts, and what names decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from mlmon_sidecar.redact.actions import of_value
from mlmon_sidecar.redact.placeholders import MASK
from mlmon_sidecar.redact.policy import Action, RedactionPolicy
from mlmon_sidecar.redact.rules import NO_RULE, KeyRule, KeyRules, Path

MAX_DEPTH = 64  # nesting that is looked into; what lies deeper is masked
MAX_NESTED_JSON = 3  # JSON in a string in JSON ...
MIN_ENTITY = 6  # letters and digits: no number is shorter,
MIN_LETTERS = 16  # and no key of letters alone
KEY = "key"  # what values redacted by name are counted under, where the settings alone know the name

_NUMBERS = (int, float)
_SCALARS = (bool, int, float, type(None))
NAME = "name"  # what a name that is personal data itself is told as
PLAIN = frozenset(_SCALARS)
_JSON_BEGINS = "{[ \n"
_JSON_ENDS = "}] \n"
_COLUMNS = ("columns", "feature_names", "names", "header")  # pandas, MLflow, Seldon, tables in general
TELLING = frozenset(("name", *_COLUMNS))
_ROWS = ("data", "rows", "values", "instances", "ndarray", "index_data")
_TENSOR_DATA = ("data", "contents", "value", "values", "shape_data")


class Slot(NamedTuple):
    """A text of the document and where its copy stands."""

    text: str
    holder: Any  # the list or dict of the copy
    place: Any  # index or key in it
    rule: KeyRule
    path: Path


class Act(NamedTuple):
    """A rule acted. Holds no value."""

    path: Path
    rule: str  # an entity; "key:" and the entity that the name tells; "name" for a name that was personal itself
    action: Action


class _Embedded(NamedTuple):
    holder: Any
    place: Any
    text: str
    before: object
    box: list[object]


class Document:
    """Walks one document. ``copy`` is its copy; texts stand unchanged in it until ``put`` replaces them."""

    def __init__(self, policy: RedactionPolicy, rules: KeyRules, counts: Counter[str], acts: list[Act] | None) -> None:
        self._policy, self._rules = policy, rules
        self._counts, self._acts = counts, acts
        self._embedded: list[_Embedded] = []
        self._nested = 0
        self.slots: list[Slot] = []

    def walk(self, value: object, rule: KeyRule = NO_RULE, path: Path = ()) -> list[object]:
        """A list of one: the copy, once ``finish`` was called."""
        box: list[object] = [None]
        self._put(box, 0, value, rule, path, 0, not self._rules.selective)
        return box

    def finish(self) -> None:
        """Writes JSON that stood in a string back into one, innermost first, where something in it changed."""
        for embedded in reversed(self._embedded):
            after = embedded.box[0]
            same = after == embedded.before
            embedded.holder[embedded.place] = embedded.text if same else orjson.dumps(after).decode()

    def _put(
        self, holder: Any, place: Any, value: object, rule: KeyRule, path: Path, depth: int, survives: bool
    ) -> None:
        kind = type(value)
        if kind is str:
            self._put_text(holder, place, value, rule, path, depth)  # type: ignore[arg-type]
        elif isinstance(value, _SCALARS):
            holder[place] = value
        elif depth >= MAX_DEPTH:
            holder[place] = MASK
        elif isinstance(value, Mapping):
            holder[place] = self._mapping(value, path, depth, survives)
        elif isinstance(value, (list, tuple)):
            holder[place] = self._list(value, rule, path, depth, survives)
        elif isinstance(value, str):
            self._put_text(holder, place, str(value), rule, path, depth)
        else:
            holder[place] = MASK

    def _put_text(self, holder: Any, place: Any, text: str, rule: KeyRule, path: Path, depth: int) -> None:
        holder[place] = text
        if self._nested < MAX_NESTED_JSON and may_be_json(text):
            parsed = _json(text)
            if parsed is not None:
                self._nested += 1
                box: list[object] = [None]
                self._embedded.append(_Embedded(holder, place, text, parsed, box))
                self._put(box, 0, parsed, rule, path, depth + 1, True)
                self._nested -= 1
                return
        if not (text.isalnum() and is_plain(text, rule)):
            self.slots.append(Slot(text, holder, place, rule, path))

    def _list(self, value: Sequence[object], rule: KeyRule, path: Path, depth: int, survives: bool) -> Sequence[object]:
        if _is_numeric(value):
            return value if survives else []
        copy: list[object] = []
        for inner in value:
            if not survives and not isinstance(inner, (Mapping, list, tuple)):
                continue
            copy.append(None)
            at = len(copy) - 1
            self._put(copy, at, inner, rule, (*path, at), depth + 1, survives)
        return copy

    def _mapping(self, value: Mapping[object, object], path: Path, depth: int, survives: bool) -> dict[str, object]:
        copy: dict[str, object] = {}
        named = self._named(value, path)
        slots, plain = self.slots, survives and named is None
        for key, inner in value.items():
            name = key if type(key) is str else str(key)
            rule = self._rules.of(name, path)
            if self._acts is not None and rule.written != name:
                self._acts.append(Act((*path, rule.written), NAME, Action.MASK))
            # What nearly all members are, without a call.
            if plain and rule.action is None and rule.written not in copy:
                kind = type(inner)
                if kind in PLAIN:
                    copy[rule.written] = inner
                    continue
                if kind is str and inner[:1] not in _JSON_BEGINS:  # type: ignore[index]
                    copy[rule.written] = inner
                    if inner.isalnum() and is_plain(inner, rule):  # type: ignore[attr-defined, arg-type]
                        continue
                    slots.append(Slot(inner, copy, rule.written, rule, (*path, rule.written)))  # type: ignore[arg-type]
                    continue
            written = rule.written if rule.written not in copy else _another(rule.written, copy)
            if named is not None and name in named:
                self._columns(copy, written, inner, named[name], (*path, rule.written), depth + 1)
            elif rule.action is not None and inner is not None:
                self._by_name(copy, written, inner, rule, path)
            elif survives or rule.survives:
                self._put(copy, written, inner, rule, (*path, rule.written), depth + 1, True)
            elif isinstance(inner, (Mapping, list, tuple)):
                self._put(copy, written, inner, rule, (*path, rule.written), depth + 1, False)
                if not copy[written]:
                    del copy[written]
        return copy

    def _by_name(self, holder: Any, place: Any, value: object, rule: KeyRule, path: Path) -> None:
        assert rule.action is not None
        if rule.action is Action.KEEP:
            holder[place] = _plain(value, 0)
            return
        if rule.action is Action.DROP:
            if isinstance(holder, list):
                holder[place] = None
            self._acted(path, place, rule)
            return
        after = of_value(self._policy, rule.action, rule.label, value)
        holder[place] = after
        if after != value:
            self._acted(path, place, rule)

    def _acted(self, path: Path, place: Any, rule: KeyRule) -> None:
        self._counts[KEY] += 1
        if self._acts is not None and rule.action is not None:
            self._acts.append(Act((*path, place), f"{KEY}:{rule.label}", rule.action))

    def _named(self, value: Mapping[object, object], path: Path) -> dict[str, list[KeyRule]] | None:
        """Members whose values stand under names given beside them: columns of a table, the name of a tensor."""
        if TELLING.isdisjoint(value):
            return None
        name = value.get("name")
        if isinstance(name, str):
            rule = self._rules.of(name, path)
            places = [place for place in _TENSOR_DATA if place in value]
            return {place: [rule] for place in places} if places and _matters(rule) else None
        for columns in _COLUMNS:
            names = value.get(columns)
            if isinstance(names, (list, tuple)) and names and all(isinstance(one, str) for one in names):
                rules = [self._rules.of(str(one), path) for one in names]
                if any(map(_matters, rules)) or self._rules.selective:
                    return {place: rules for place in _ROWS if place in value}
        return None

    def _columns(
        self, holder: Any, place: Any, value: object, rules: Sequence[KeyRule], path: Path, depth: int
    ) -> None:
        """A table's rows, each cell under the name of its column; of a tensor every element under the tensor's."""
        if not isinstance(value, (list, tuple)) or depth >= MAX_DEPTH:
            self._cell(holder, place, value, rules[0] if len(rules) == 1 else NO_RULE, path, depth)
            return
        if _is_numeric(value) and all(rule.action is None and rule.survives for rule in rules):
            holder[place] = value
            return
        copy: list[object] = [None] * len(value)
        holder[place] = copy
        nested = any(isinstance(inner, (list, tuple)) for inner in value)
        for at, inner in enumerate(value):
            if nested and isinstance(inner, (list, tuple)):
                self._columns(copy, at, inner, rules, (*path, at), depth + 1)
            else:
                rule = (
                    rules[0]
                    if len(rules) == 1
                    else rules[at]
                    if at < len(rules) and len(value) == len(rules)
                    else NO_RULE
                )
                self._cell(copy, at, inner, rule, path, depth)

    def _cell(self, holder: Any, place: Any, value: object, rule: KeyRule, path: Path, depth: int) -> None:
        if rule.action is not None and value is not None:
            self._by_name(holder, place, value, rule, path)
        elif rule.survives:
            self._put(holder, place, value, rule, (*path, place), depth + 1, True)
        else:
            holder[place] = None


def _plain(value: object, depth: int) -> object:
    """A value that is kept as it is, as far as JSON can say it."""
    if isinstance(value, (str, *_SCALARS)):
        return value
    if depth < MAX_DEPTH and isinstance(value, Mapping):
        return {str(name): _plain(inner, depth + 1) for name, inner in value.items()}
    if depth < MAX_DEPTH and isinstance(value, (list, tuple)):
        return [_plain(inner, depth + 1) for inner in value]
    return MASK


def _is_numeric(value: Sequence[object]) -> bool:
    return bool(value) and type(value[0]) in _NUMBERS and set(map(type, value)) <= {int, float}


def is_plain(text: str, rule: KeyRule) -> bool:
    """Whether letters and digits without a sign between them are too few for any entity."""
    return (len(text) < MIN_ENTITY or (len(text) < MIN_LETTERS and text.isalpha())) and not rule.worded


def may_be_json(text: str) -> bool:
    """Whether it looks like an object or a list at both ends."""
    return text[:1] in _JSON_BEGINS and text[-1:] in _JSON_ENDS and len(text) > 1


def _matters(rule: KeyRule) -> bool:
    return rule.action is not None or bool(rule.worded) or rule.hint != ""


def _another(name: str, taken: Mapping[str, object]) -> str:
    number = 2
    while f"{name}#{number}" in taken:
        number += 1
    return f"{name}#{number}"


def _json(text: str) -> object:
    """The object or list that a text is the JSON of; None for any other text."""
    try:
        parsed: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, (dict, list)) and parsed else None
