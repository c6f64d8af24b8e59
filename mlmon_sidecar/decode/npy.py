"""NumPy's own file format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), never a pickle."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular_answers import answers_of
from mlmon_sidecar.decode.tensor_rows import items_of, rows_of_tensors
from mlmon_sidecar.decode.tensors import MAX_DIMENSIONS, Tensor, column_of, malformed
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

MEDIA_TYPES = frozenset({"application/x-npy", "application/npy"})
MAX_HEADER = 4096  # bytes of the header's literal
NAME = "array"


class NpyDecoder:
    """An array of numbers, booleans or fixed-width texts."""

    name = "npy"

    def claims(self, side: Side, direction: Direction) -> str:
        return f"content type {side.media_type}" if side.media_type in MEDIA_TYPES else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        return rows_of_tensors([_tensor(side.body)], options)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        return answers_of(items_of(_tensor(side.body), rows), rows, options, None)


def _tensor(body: bytes) -> Tensor:
    """Raises ``DecodeError``: ``malformed`` for no such file, ``wrong_shape`` where shape and bytes disagree."""
    shape, fortran, dtype, start = _header(body)
    if dtype.kind not in "biufSU" or dtype.itemsize < 1:  # objects would be a pickle
        raise malformed("the array has elements that are not read")
    held, odd = divmod(len(body) - start, dtype.itemsize)
    if odd or not held or len(shape) > MAX_DIMENSIONS or math.prod(shape) != held:
        raise DecodeError("the array's shape and its bytes disagree", code=DropReason.WRONG_SHAPE)
    array = np.frombuffer(body, dtype=dtype, offset=start).reshape(shape, order="F" if fortran else "C").ravel()
    if dtype.kind in "SU":
        texts: list[object] = [_text(cell) for cell in array.tolist()]
        return Tensor(NAME, shape, texts)
    return Tensor(NAME, shape, column_of(array.astype(dtype.newbyteorder("="))))


def _header(body: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    file = io.BytesIO(body)
    try:
        read = (
            npy_format.read_array_header_1_0
            if npy_format.read_magic(file) == (1, 0)
            else npy_format.read_array_header_2_0
        )
        shape, fortran, dtype = read(file, max_header_size=MAX_HEADER)
    except Exception:  # numpy parses the header as a Python literal: ValueError, SyntaxError, TypeError and others
        raise malformed("the body is not an array file") from None
    return shape, fortran, dtype, file.tell()


def _text(cell: str | bytes) -> str | None:
    return cell if isinstance(cell, str) else cell.decode("utf-8", "replace")
