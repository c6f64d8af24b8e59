"""Typed tensors as rows: the first dimension counts rows, whatever is in the others belongs to one row.

Nothing is allocated by a declared shape: cells are there before their shape is believed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from mlmon_sidecar.decode.tabular import base64_size
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.decode.sides import Column
    from mlmon_sidecar.records import IntVector

MAX_DIMENSIONS = 32
BYTES, BOOL, BF16 = "BYTES", "BOOL", "BF16"
RAW_TYPES = {
    BOOL: np.dtype("?"),
    "INT8": np.dtype("<i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"), "UINT64": np.dtype("<u8"),
    "FP16": np.dtype("<f2"), BF16: np.dtype("<u2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
}  # fmt: skip
"""Elements of the binary extension by their datatype, little-endian; BYTES are length-prefixed instead."""

_LENGTH: Final = struct.Struct("<I")
_INT64_MAX: Final = np.iinfo(np.int64).max
_JSON_TYPES: Final = {BOOL: frozenset({bool, int}), BYTES: frozenset({str})}
_NUMBERS: Final = frozenset({int, float})


class Tensor(NamedTuple):
    """Cells in row-major order: as many as the dimensions of ``shape`` multiply to."""

    name: str
    shape: tuple[int, ...]
    cells: Column
    bad: frozenset[int] = frozenset()  # rows with a cell that is none of the datatype
    sizes: bool = False  # the cells are the sizes of binary content

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def width(self) -> int:
        """Cells of one row."""
        return math.prod(self.shape[1:])


def malformed(message: str) -> DecodeError:
    return DecodeError(message, code=DropReason.MALFORMED)


def shape_of(value: object) -> tuple[int, ...]:
    """Raises ``DecodeError`` (``malformed``) for what is no list of sizes."""
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        raise malformed("a tensor has no shape")
    if any(type(size) is not int or size < 0 for size in value):
        raise malformed("a tensor's shape has something else than sizes")
    return tuple(value)


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: object, *, base64: bool = False) -> Tensor:
    """Elements as JSON lists, nested as deep as the shape or flat.

    Raises:
        DecodeError: ``malformed`` for an unknown datatype, ``wrong_shape`` where elements and shape disagree.
    """
    cells = _flat(data, len(shape))
    width = _expect(len(cells), shape)
    allowed = _JSON_TYPES.get(datatype, _NUMBERS)
    if datatype not in RAW_TYPES and datatype != BYTES:
        raise malformed("a tensor's datatype is unknown")
    kinds = set(map(type, cells))
    bad: frozenset[int] = frozenset()
    if not kinds <= allowed | {type(None)}:
        wrong = [at for at, cell in enumerate(cells) if type(cell) not in allowed and cell is not None]
        bad = frozenset(at // width for at in wrong)
        cells = [cell if type(cell) in allowed else None for cell in cells]
    if base64:
        return Tensor(name, shape, [base64_size(cell) for cell in cells], bad, sizes=True)
    if datatype == BOOL:
        return Tensor(name, shape, [None if cell is None else bool(cell) for cell in cells], bad)
    return Tensor(name, shape, _numbers(cells, datatype) if kinds <= _NUMBERS else cells, bad)


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], raw: bytes | memoryview) -> Tensor:
    """Elements as the binary extension lays them out.

    Raises:
        DecodeError: ``malformed`` for an unknown datatype or broken lengths, ``wrong_shape`` where bytes and shape
            disagree.
    """
    if datatype == BYTES:
        return _texts(name, shape, _elements(bytes(raw), math.prod(shape)))
    dtype = RAW_TYPES.get(datatype)
    if dtype is None:
        raise malformed("a tensor's datatype is unknown")
    if len(raw) % dtype.itemsize:
        raise DecodeError("a tensor's bytes are not whole elements", code=DropReason.WRONG_SHAPE)
    _expect(len(raw) // dtype.itemsize, shape)
    array = np.frombuffer(raw, dtype=dtype)
    if datatype == BF16:  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return Tensor(name, shape, column_of(array))


def column_of(array: NDArray[Any]) -> Column:
    """(n,) of any number or boolean type as a column: NaN is null, booleans and nulls make it a list."""
    if array.dtype.kind == "f":
        numbers = array.astype(np.float64)
        missing = np.isnan(numbers)
        if not missing.any():
            return numbers
        return [None if gone else value for value, gone in zip(numbers.tolist(), missing.tolist(), strict=True)]
    if array.dtype.kind == "b" or (array.dtype.kind == "u" and array.size and int(array.max()) > _INT64_MAX):
        listed: list[object] = array.tolist()
        return listed
    whole: IntVector = array.astype(np.int64)
    return whole


def _expect(cells: int, shape: tuple[int, ...]) -> int:
    """Cells of one row, >= 1."""
    if not cells or math.prod(shape) != cells:
        raise DecodeError("a tensor's shape and its data disagree", code=DropReason.WRONG_SHAPE)
    return math.prod(shape[1:])


def _numbers(cells: Sequence[object], datatype: str) -> Column:
    whole = "INT" in datatype and float not in set(map(type, cells))
    try:
        return column_of(np.array(cells, dtype=np.int64 if whole else np.float64))
    except OverflowError:  # beyond 64 bits
        return list(cells)


def _flat(data: object, depth: int) -> list[object]:
    """The elements of lists nested at most ``depth`` deep."""
    if not isinstance(data, list):
        raise DecodeError("a tensor has no data", code=DropReason.WRONG_SHAPE)
    for _ in range(depth - 1):
        if not any(isinstance(item, list) for item in data):
            break
        data = [inner for item in data for inner in (item if isinstance(item, list) else [item])]
    return data


def _elements(raw: bytes, count: int) -> list[bytes]:
    elements: list[bytes] = []
    at = 0
    while at < len(raw) and len(elements) < count:
        start = at + _LENGTH.size
        if start > len(raw):
            raise malformed("an element's length is cut off")
        at = start + _LENGTH.unpack_from(raw, at)[0]
        if at > len(raw):
            raise malformed("an element is cut off")
        elements.append(raw[start:at])
    if at != len(raw) or len(elements) != count:
        raise DecodeError("a tensor's shape and its data disagree", code=DropReason.WRONG_SHAPE)
    return elements


def _texts(name: str, shape: tuple[int, ...], elements: Sequence[bytes]) -> Tensor:
    """Texts where all of them are; the sizes of what else is in there (images, audio) and nothing of its content."""
    _expect(len(elements), shape)
    try:
        return Tensor(name, shape, [element.decode() for element in elements])
    except UnicodeDecodeError:
        return Tensor(name, shape, [len(element) for element in elements], sizes=True)
