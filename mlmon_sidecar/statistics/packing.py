"""A pane's vector and samples as bytes: the one form in which they travel and are stored.

The encoding is canonical: two vectors are equal exactly when their bytes are, so bytes may be compared and hashed.

A pane mixes cells of very different size: most bins are zero or small, weights count in units of 2**-20, sums of
squares need all 64 bits. One dtype for the whole vector would almost always be int64. So every cell has a *width
class* of its own, three bits in three bit planes, and only non-zero cells have bytes:

=====  =========================  ==============
class  value                      bytes
=====  =========================  ==============
0      0                          none
1      1 .. 2**8 - 1              1
2      2**8 .. 2**16 - 1          2
3      2**16 .. 2**32 - 1         4
4      anything else in int64     8
=====  =========================  ==============

Blob: ``u8 format, u32 cells, 3 planes of ceil(cells / 8) bytes, values of class 1, 2, 3, 4 in cell order``, all
little-endian. Three bits a cell are always present, so a blob of n bytes never decodes to more than 22 n bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import orjson

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.records import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlmon_sidecar.records import IntVector

VECTOR_FORMAT = 1
MAX_CELLS = 1 << 20
"""Far above the cap on a layout (64k cells); what a reader is willing to allocate for one vector is 8 MiB."""

_JSON = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY  # numpy scalars read as the numbers they are
_PREFIX = struct.Struct("<BI")
_PLANES = 3
_WIDTHS = ("<u1", "<u2", "<u4", "<u8")  # of classes 1, 2, 3, 4
_SIZES = (1, 2, 4, 8)
_LIMITS = (0, 0xFF, 0xFFFF, 0xFFFFFFFF)  # a value of the class lies above


def encode_vector(vector: IntVector) -> bytes:
    """``vector``: (n,) int64, n at most ``MAX_CELLS``; anything else raises ``WireError``.

    >>> encode_vector(np.array([0, 7, -1], dtype=np.int64)).hex(" ")
    '01 03 00 00 00 40 00 20 07 ff ff ff ff ff ff ff ff'
    """
    if vector.ndim != 1 or vector.dtype != np.int64 or len(vector) > MAX_CELLS:
        raise WireError(
            f"not a flat int64 vector of at most {MAX_CELLS} cells",
            code="vector_shape",
            hint="Use the layout of the model; fewer or coarser bins make it smaller.",
        )
    cells = np.ascontiguousarray(vector).view(np.uint64)  # negative numbers become the largest
    classes = _width_classes(cells)
    parts = [_PREFIX.pack(VECTOR_FORMAT, len(cells))]
    parts += [np.packbits(classes >> plane & 1).tobytes() for plane in range(_PLANES)]
    parts += [cells[classes == code].astype(dtype).tobytes() for code, dtype in enumerate(_WIDTHS, start=1)]
    return b"".join(parts)


def decode_vector(data: bytes | memoryview) -> IntVector:
    """(n,) int64, writable. Bytes that ``encode_vector`` would not have written raise ``WireError``."""
    if len(data) < _PREFIX.size:
        raise _malformed("is cut off")
    version, count = _PREFIX.unpack_from(data)
    if version != VECTOR_FORMAT:
        raise WireError(
            f"vector format {version} is not {VECTOR_FORMAT}",
            code="vector_format",
            hint="It was written by another version of mlmon.",
        )
    body, plane_size = memoryview(data)[_PREFIX.size :], -(-count // 8)
    if count > MAX_CELLS or len(body) < _PLANES * plane_size:
        raise _malformed("declares more cells than it has")
    planes = np.frombuffer(body, np.uint8, _PLANES * plane_size).reshape(_PLANES, plane_size)
    low, middle, high = np.unpackbits(planes, axis=1, count=count) if count else planes
    if _beyond_end(body, count, plane_size) or (high & (low | middle)).any():
        raise _malformed("is not in canonical form")
    return _place(body[_PLANES * plane_size :], low | middle << 1 | high << 2)


def encode_samples(samples: Mapping[str, tuple[Sample, ...]]) -> bytes:
    """Canonical JSON: ``{"name": [[hash, "value"], ...], ...}`` with sorted names."""
    return canonical_json({name: [[s.hash, s.value] for s in members] for name, members in samples.items()})


def decode_samples(data: bytes | memoryview) -> dict[str, tuple[Sample, ...]]:
    """Reads ``encode_samples`` back; ``WireError`` for anything that is not of its shape."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise WireError("samples are not JSON", code="samples_malformed") from error
    if type(document) is not dict or not all(type(members) is list for members in document.values()):
        raise WireError("samples are not lists by name", code="samples_malformed")
    return {name: tuple(_sample(member) for member in members) for name, members in document.items()}


def canonical_json(document: object) -> bytes:
    """JSON with sorted keys. Infinite floats and NaN become null, halves of surrogate pairs (no text) ``?``.

    Raises ``WireError`` for what JSON cannot say, an integer beyond 64 bits for one.
    """
    try:
        return orjson.dumps(document, option=_JSON)
    except TypeError:
        try:
            return orjson.dumps(_as_text(document), option=_JSON)
        except (TypeError, RecursionError) as error:
            raise WireError("a value cannot be written as JSON", code="not_json") from error


def _width_classes(cells: NDArray[np.uint64]) -> NDArray[np.uint8]:
    classes = (cells > 0).astype(np.uint8)
    for limit in _LIMITS[1:]:
        classes += cells > limit
    return classes


def _place(values: memoryview, classes: NDArray[np.uint8]) -> IntVector:
    (present,) = (classes > 0).nonzero()
    kinds = classes[present]
    where = [present[kinds == code] for code in range(1, len(_WIDTHS) + 1)]
    sizes = [len(index) * size for index, size in zip(where, _SIZES, strict=True)]
    if sum(sizes) != len(values):
        raise _malformed("has a wrong length")
    cells, at = np.zeros(len(classes), dtype=np.uint64), 0
    for index, dtype, size, limit in zip(where, _WIDTHS, sizes, _LIMITS, strict=True):
        found = np.frombuffer(values[at : at + size], dtype)
        if size and found.min() <= limit:  # it would have been written narrower
            raise _malformed("is not in canonical form")
        cells[index] = found
        at += size
    return cells.view(np.int64)


def _beyond_end(body: memoryview, count: int, plane_size: int) -> bool:
    """Whether a plane has a bit for a cell that is not there."""
    unused = (1 << -count % 8) - 1
    return any(body[(plane + 1) * plane_size - 1] & unused for plane in range(_PLANES)) if unused else False


def _sample(member: object) -> Sample:
    if type(member) is list and len(member) == 2 and type(member[0]) is int and type(member[1]) is str:
        return Sample(member[0], member[1])
    raise WireError("a sample is not a hash and a text", code="samples_malformed")


def _as_text(item: object) -> object:
    if isinstance(item, str):
        return item.encode("utf-8", "replace").decode()
    if isinstance(item, Mapping):
        return {_as_text(key): _as_text(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_as_text(value) for value in item]
    return item


def _malformed(what: str) -> WireError:
    return WireError(f"a packed vector {what}", code="vector_malformed")
