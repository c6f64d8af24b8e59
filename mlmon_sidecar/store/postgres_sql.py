"""How many rows go to PostgreSQL in one statement: as JSON arrays, which it takes apart."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import psycopg

DAY_NS = 86_400 * 1_000_000_000

EACH = "json_array_elements(%s::json) AS t(value)"
"""Bound to ``packed(rows)``. A column is ``value ->> 3``, a text, or NULL."""


def columns(count: int) -> str:
    """Rows ``t(c0, c1, ..., n)`` of texts, numbered from 1 by ``n``. Bound to ``packed_columns(rows)``.

    An array a column, each read once: every ``value ->> 3`` reads its whole row again, which counts for wide ones.
    """
    each = ", ".join(["json_array_elements_text(%s::json)"] * count)
    return f"ROWS FROM ({each}) WITH ORDINALITY AS t({', '.join(f'c{n}' for n in range(count))}, n)"


# PostgreSQL's texts hold no NUL. An even number of backslashes before it are characters of their own.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def packed(rows: object) -> str:
    """JSON. What PostgreSQL cannot hold is written as U+FFFD."""
    text = orjson.dumps(rows).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


def packed_columns(rows: Sequence[Sequence[Any]]) -> list[str]:
    """At least one row."""
    return [packed(column) for column in zip(*rows, strict=True)]


def clean(text: str) -> str:
    """A text as PostgreSQL can hold it."""
    return str(text).replace("\0", "\ufffd")


def rows_of(db: psycopg.Connection[Any], sql: str, bindings: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
    found: list[Any] = db.execute(sql, bindings or None).fetchall()
    return found


def write(db: psycopg.Connection[Any], sql: str, bindings: Sequence[Any] | Mapping[str, Any] = ()) -> int:
    """Returns how many rows it touched."""
    return int(db.execute(sql, bindings or None).rowcount)


def write_all(db: psycopg.Connection[Any], sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """All rows in one statement with ``EACH``."""
    if rows:
        db.execute(sql, (packed(rows),))
