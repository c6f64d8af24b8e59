"""Vectors and samples as bytes: they come back equal, have one form only, and nonsense is refused cheaply."""

from __future__ import annotations

import struct
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.records import Sample
from mlmon_sidecar.statistics.packing import (
    MAX_CELLS,
    VECTOR_FORMAT,
    canonical_json,
    decode_samples,
    decode_vector,
    encode_samples,
    encode_vector,
)

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector

ON_A_BUSY_MACHINE = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
EDGES = [0, 1, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1, -1, -(2**63)]
CELLS = st.one_of(st.just(0), st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1))
VECTORS = hnp.arrays(np.int64, st.integers(0, 80), elements=CELLS)


@ON_A_BUSY_MACHINE
@given(VECTORS)
def test_a_vector_comes_back_equal_and_writable(vector: IntVector) -> None:
    decoded = decode_vector(encode_vector(vector))
    assert decoded.dtype == np.int64
    assert np.array_equal(decoded, vector)
    decoded += 1


@ON_A_BUSY_MACHINE
@given(VECTORS, VECTORS)
def test_bytes_are_equal_exactly_when_vectors_are(one: IntVector, other: IntVector) -> None:
    assert (encode_vector(one) == encode_vector(other)) == np.array_equal(one, other)
    assert encode_vector(np.repeat(one, 2)[::2]) == encode_vector(one)  # not contiguous in memory


def test_each_cell_takes_the_bytes_its_value_needs() -> None:
    for value, size in zip(EDGES, [0, 1, 1, 2, 2, 4, 4, 8, 8, 8, 8], strict=True):
        assert len(encode_vector(np.array([value], dtype=np.int64))) == 5 + 3 + size


@ON_A_BUSY_MACHINE
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_are_the_one_form(data: bytes) -> None:
    for candidate in (data, struct.pack("<BI", VECTOR_FORMAT, len(data) % 9) + data):
        try:
            vector = decode_vector(candidate)
        except WireError:
            continue
        assert encode_vector(vector) == candidate


@pytest.mark.parametrize(
    ("kind", "value"),
    [(1, b"\x00"), (2, b"\xff\x00"), (3, b"\xff\xff\0\0"), (4, b"\xff\xff\xff\xff\0\0\0\0"), (5, b""), (7, b"")],
)
def test_a_value_wider_than_it_need_be_is_refused(kind: int, value: bytes) -> None:
    planes = bytes((kind >> plane & 1) << 7 for plane in range(3))
    with pytest.raises(WireError, match="canonical"):
        decode_vector(struct.pack("<BI", VECTOR_FORMAT, 1) + planes + value)


@ON_A_BUSY_MACHINE
@given(VECTORS, st.data())
def test_a_changed_blob_is_refused_or_is_another_vector(vector: IntVector, data: st.DataObject) -> None:
    blob = bytearray(encode_vector(vector))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode_vector(bytes(blob))
    except WireError:
        return
    assert not np.array_equal(decoded, vector)


@pytest.mark.parametrize("cells", [1 << 20, 2**32 - 1])
def test_a_declared_length_allocates_nothing(cells: int) -> None:
    blob = struct.pack("<BI", VECTOR_FORMAT, cells) + bytes(64)
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="more cells than it has"):
            decode_vector(blob)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_the_longest_vector_that_bytes_can_claim_stays_within_22_times_their_number() -> None:
    blob = encode_vector(np.zeros(MAX_CELLS, dtype=np.int64))
    assert decode_vector(blob).nbytes <= 22 * len(blob)


def test_other_formats_and_shapes_have_codes() -> None:
    with pytest.raises(WireError) as version:
        decode_vector(struct.pack("<BI", VECTOR_FORMAT + 1, 0))
    assert version.value.code == "vector_format"
    for wrong in (np.zeros((2, 2), dtype=np.int64), np.zeros(3), np.zeros(MAX_CELLS + 1, dtype=np.int64)):
        with pytest.raises(WireError) as shape:
            encode_vector(wrong)
        assert shape.value.code == "vector_shape"


SAMPLES = st.dictionaries(
    st.text(max_size=8), st.lists(st.builds(Sample, st.integers(0, 2**64 - 1), st.text(max_size=8))).map(tuple)
)


@ON_A_BUSY_MACHINE
@given(SAMPLES)
def test_samples_come_back_equal_in_one_form(samples: dict[str, tuple[Sample, ...]]) -> None:
    encoded = encode_samples(samples)
    assert decode_samples(encoded) == samples
    assert encode_samples(dict(reversed(samples.items()))) == encoded
    assert orjson.loads(encoded) == {name: [list(sample) for sample in members] for name, members in samples.items()}


@ON_A_BUSY_MACHINE
@given(st.one_of(st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr).map(str.encode)))
def test_any_other_samples_are_refused(data: bytes) -> None:
    try:
        decode_samples(data)
    except WireError as error:
        assert error.code == "samples_malformed"


@pytest.mark.parametrize("document", [b'{"a": 1}', b'{"a": [1]}', b'{"a": [[true, "x"]]}', b'{"a": [[1, 2]]}', b"[]"])
def test_samples_of_another_shape_are_refused(document: bytes) -> None:
    with pytest.raises(WireError):
        decode_samples(document)


def test_text_that_is_none_and_numbers_of_numpy_do_not_spoil_a_document() -> None:
    document = {"a\ud800": ("x\udfff", np.int64(3), np.float64(0.5))}
    assert canonical_json(document) == b'{"a?":["x?",3,0.5]}'
    with pytest.raises(WireError):
        canonical_json({"too large": 1 << 70})
