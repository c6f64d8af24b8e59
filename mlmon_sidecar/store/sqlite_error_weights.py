"""Errors of labels whose weight is not 1, on SQLite: what they add to the sums of ``outcome_errors``.

A weight of up to 2**40 units times a square of up to 2**40 is longer than SQLite's integers, and a sum that overflows
would stop every later join. So the products are summed here and kept as decimal text: exact for any weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import apsw
import orjson

from mlmon_sidecar.records import LABEL_UNIT, LabelErrors
from mlmon_sidecar.store import sqlite_outcomes
from mlmon_sidecar.store.sqlite_outcomes import ERRING
from mlmon_sidecar.store.sqlite_reading import one

SUMS = 8  # rows, error, absolute, squared, actual, actual squared, relative, rows with a relative one

_MOVED = f"""
SELECT json_group_array(json_array(model, version, day, sign * (counted - {LABEL_UNIT}), error, level, relative, whole))
FROM ({ERRING}) WHERE counted <> {LABEL_UNIT}"""  # noqa: S608 - constants only

_KEPT = """
SELECT json_group_array(json_array(model, version, day, extra)) FROM outcome_error_weights
WHERE (model, version, day) IN (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?))"""

_KEEP = """
INSERT OR REPLACE INTO outcome_error_weights
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"""

_EXTRA = """
SELECT json_group_array(extra) FROM outcome_error_weights WHERE model = ? AND day BETWEEN ? AND ?"""


def count(db: apsw.Connection) -> None:
    """Of the labels that move (``sqlite_outcomes.move``), after their errors were counted: then there is a scale."""
    extra: dict[tuple[str, str, int], list[int]] = {}
    for model, version, day, weight, error, level, relative, whole in orjson.loads(one(db, _MOVED)):
        row = (1, error, abs(error), error * error, level, level * level, relative, whole)
        sums = extra.setdefault((model, version, day), [0] * SUMS)
        sums[:] = [total + weight * value for total, value in zip(sums, row, strict=True)]
    if not extra:
        return
    for model, version, day, kept in orjson.loads(one(db, _KEPT, (orjson.dumps(list(extra)).decode(),))):
        cell = model, version, day
        extra[cell] = _summed([extra[cell], json.loads(kept)])
    rows = [(*cell, json.dumps(sums)) for cell, sums in extra.items()]
    db.execute(_KEEP, (orjson.dumps(rows).decode(),)).fetchall()


def errors(db: apsw.Connection, model: str, first_day: int, last_day: int) -> LabelErrors | None:
    """As ``sqlite_outcomes.errors``, every row times its weight in units of 2**-20; None where every label weighs 1."""
    extra = _summed([json.loads(kept) for kept in orjson.loads(one(db, _EXTRA, (model, first_day, last_day)))])
    counted = sqlite_outcomes.errors(db, model, first_day, last_day)
    if counted is None or not any(extra):
        return None
    return counted._replace(sums=tuple(n * LABEL_UNIT + more for n, more in zip(counted.sums, extra, strict=True)))


def _summed(parts: Iterable[list[int]]) -> list[int]:
    return [sum(column) for column in zip([0] * SUMS, *parts, strict=True)]
