"""Rows of one form, redacted column by column: one look at a name for all values under it.

Says what ``document.py`` says of each row by itself, of the form that nearly all rows have: scalars, under names that
decide nothing about them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlmon_sidecar.redact.document import PLAIN, TELLING, is_plain, may_be_json
from mlmon_sidecar.redact.rules import KeyRule, KeyRules

Place = tuple[int, str]
"""A row and the text in it."""


class PlainColumns(NamedTuple):
    """Copies of columns, by the names they may be written under, and the texts in them that have to be scanned."""

    columns: Mapping[str, list[object]]
    texts: Sequence[tuple[list[object], KeyRule, Sequence[Place]]]  # of a column: the copy, its rule, where they stand


def plain_columns(columns: Mapping[str, Sequence[object]], rules: KeyRules) -> PlainColumns | None:
    """The columns where names and types alone decide about them; None where a row has to be walked through."""
    if rules.selective or not TELLING.isdisjoint(columns):
        return None
    copies: dict[str, list[object]] = {}
    texts = []
    for name, values in columns.items():
        rule = rules.of(name)
        places = _places(values, rule)
        if rule.action is not None or rule.written in copies or places is None:
            return None
        copy = copies[rule.written] = list(values)
        if places:
            texts.append((copy, rule, places))
    return PlainColumns(copies, texts)


def _places(values: Sequence[object], rule: KeyRule) -> Sequence[Place] | None:
    """Where texts stand that may hold personal data; None where there is anything but scalars and such texts."""
    kinds = set(map(type, values))
    if kinds <= PLAIN:
        return ()
    if not kinds <= PLAIN | {str}:
        return None
    harmless: dict[object, bool] = {}
    for text in {value for value in values if type(value) is str}:
        if may_be_json(text):
            return None
        harmless[text] = text.isalnum() and is_plain(text, rule)
    if all(harmless.values()):
        return ()
    return [(at, value) for at, value in enumerate(values) if type(value) is str and not harmless[value]]
