"""One value out of SQLite."""

from __future__ import annotations

from typing import Any

import apsw


def one(db: apsw.Connection, sql: str, bindings: Any = ()) -> Any:
    """The first column of the first row; None without a row."""
    row = db.execute(sql, bindings).fetchone()
    return None if row is None else row[0]
