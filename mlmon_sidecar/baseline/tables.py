"""Tables that can be read again and again, a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from mlmon_sidecar.decode.frames import columns_of
from mlmon_sidecar.errors import BaselineError, DecodeError
from mlmon_sidecar.records import DropReason

Columns = Mapping[str, Sequence[object]]

CHUNK_CELLS = 1 << 19  # values held at once, about 100 bytes each
MAX_CHUNK_ROWS = 8192


class Chunk(NamedTuple):
    """Some rows. A column that is absent is None in all of them."""

    columns: dict[str, list[object]]  # JSON values; None where missing; all of one length
    done: float  # part of the table that has been read, in [0, 1]


@runtime_checkable
class Source(Protocol):
    """A table as a file or an object holds it."""

    @property
    def width(self) -> int:
        """Columns, or a good guess: it decides how many rows are held at once."""

    @property
    def ordered(self) -> bool:
        """Whether the order of the columns is the table's own; else they are taken by name."""

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows from the first one on, at most ``rows`` at a time. May be called again."""


def as_source(data: object) -> Source:
    """A mapping of columns, a list of mappings, a pandas, polars or pyarrow table, a two-dimensional array, or a
    ``Source`` itself."""
    return data if isinstance(data, Source) else MemoryTable(data)


def chunk_rows(source: Source) -> int:
    """Rows held at once, so that memory does not depend on how wide a table is."""
    return max(1, min(MAX_CHUNK_ROWS, CHUNK_CELLS // max(1, source.width)))


class MemoryTable:
    """A table in memory, of which a few rows at a time become Python values."""

    def __init__(self, data: Any) -> None:
        known = isinstance(data, (Mapping, Sequence)) or hasattr(data, "shape")
        self._data = data if known else list(data)
        self._rows = _length(self._data)

    @property
    def width(self) -> int:
        if isinstance(self._data, Mapping):
            return len(self._data)
        shape = getattr(self._data, "shape", None)
        if shape is not None:
            return int(shape[1]) if len(shape) > 1 else 1
        return max((len(row) for row in self._data[:1] if isinstance(row, Mapping)), default=1)

    @property
    def ordered(self) -> bool:
        return isinstance(self._data, Mapping) or hasattr(self._data, "shape")

    def chunks(self, rows: int) -> Iterator[Chunk]:
        for start in range(0, self._rows, rows):
            stop = min(start + rows, self._rows)
            if isinstance(self._data, Mapping):
                part: Any = {name: _slice(column, start, stop) for name, column in self._data.items()}
            else:
                part = _slice(self._data, start, stop)
            yield Chunk(columns_of(part), stop / self._rows)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what goes wrong while a file is read into ``BaselineError``: ``data_unreadable``."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BaselineError(
            f"{path} cannot be read: {reason}", code="data_unreadable", hint="Check the path and its permissions."
        ) from error


def _length(data: Any) -> int:
    if not isinstance(data, Mapping):
        return len(data)
    lengths = {len(column) for column in data.values()}
    if len(lengths) > 1:
        raise DecodeError(
            "columns differ in length", code=DropReason.ROW_MISMATCH, hint="Every column has one item a row."
        )
    return lengths.pop() if lengths else 0


def _slice(data: Any, start: int, stop: int) -> Any:
    if hasattr(data, "iloc"):  # pandas
        return data.iloc[start:stop]
    if hasattr(data, "slice"):  # pyarrow, polars
        return data.slice(start, stop - start)
    return data[start:stop]
