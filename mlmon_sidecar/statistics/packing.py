"""Vectors and samples as bytes: canonical (equal values give equal bytes), narrow, never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import orjson

from mlmon_sidecar.records import Sample

if TYPE_CHECKING:
    from mlmon_sidecar.records import IntVector


def encode_vector(vector: IntVector) -> bytes:
    return vector.astype("<i8").tobytes()


def decode_vector(data: bytes) -> IntVector:
    return np.frombuffer(data, "<i8").astype(np.int64)


def encode_samples(samples: Mapping[str, tuple[Sample, ...]]) -> bytes:
    plain = {name: [[sample.hash, sample.value] for sample in items] for name, items in samples.items()}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def decode_samples(data: bytes) -> dict[str, tuple[Sample, ...]]:
    return {name: tuple(Sample(*item) for item in items) for name, items in orjson.loads(data).items()}
