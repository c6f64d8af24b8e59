"""Labels out of the rows of files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlmon_sidecar.client import Label
from mlmon_sidecar.runtime.row_files import Row


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns; ``model`` and ``source`` that are given hold for every row."""

    id: str = "id"
    label: str = "label"
    observed_at: str = "observed_at"
    weight: str = "weight"
    model: str = ""
    source: str = ""
    utc: bool = False  # a time without a zone is UTC


def label_of(row: Row, columns: Columns) -> Label | str:
    """The row's label, or why it has none."""
    id_, said = row.get(columns.id), row.get(columns.label)
    if id_ in (None, "") or said in (None, ""):
        return f"no {columns.id}" if id_ in (None, "") else f"no {columns.label}"
    try:
        observed = _moment(row.get(columns.observed_at), utc=columns.utc)
        weight = row.get(columns.weight)
        return Label(
            id=str(id_),
            label=said,
            observed_at=observed,
            model=columns.model or str(row.get("model") or ""),
            source=columns.source or str(row.get("source") or ""),
            weight=None if weight in (None, "") else float(weight),
        )
    except (ValueError, TypeError, OverflowError, OSError):
        return f"{columns.observed_at} is no time with a zone, or {columns.weight} no number"


def _moment(value: Any, *, utc: bool) -> datetime | None:
    if value in (None, ""):
        return None
    if isinstance(value, str):
        digits = value.replace(".", "", 1)
        value = float(value) if digits.isascii() and digits.isdigit() else datetime.fromisoformat(value)
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if not isinstance(value, datetime):
        raise ValueError
    if value.tzinfo is None:
        if not utc:
            raise ValueError
        return value.replace(tzinfo=UTC)
    return value
