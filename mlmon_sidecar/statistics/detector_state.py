"""What a detector remembers between panes, and its bytes.

The format is fixed and explicit, so that a state stored with a watermark can be compared and read anywhere: equal
states have equal bytes. Little-endian; arrays follow each other without padding.

    4s  magic "MLMD"     H  version     16s  signature of the indicator set
    q   hour             I  components  I    indicators   I  units
    then: log_m, held, onset, low_nats, since, trailing_hits, trailing_totals
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlmon_sidecar.errors import StoreError

if TYPE_CHECKING:
    from mlmon_sidecar.records import FloatVector, IntVector

MAGIC = b"MLMD"
STATE_VERSION = 1
_HEADER = struct.Struct("<4sH16sqIII")


@dataclass(frozen=True, slots=True, eq=False)
class DetectorState:
    """Immutable by agreement: ``Detector.step`` returns a new one and never writes into an old one.

    Attributes:
        signature: 16 bytes of the indicator set it belongs to.
        hour: event-time hour (minute // 60) of the newest pane; -1 before the first.
        log_m: (components,) ln M; -inf is M = 0.
        held: (units,) 1 while the unit's incident is open.
        onset: (units,) the last minute at which the unit's evidence was still negligible; -1 before the first.
        low_nats: (units,) lowest ln(1 + w M) at the hours since ``since``; 0 for units not held.
        since: (units,) first minute of the trailing counts; meaningful while held.
        trailing_hits: (indicators,) since then; 0 for units not held.
        trailing_totals: (indicators,) since then.
    """

    signature: bytes
    hour: int
    log_m: FloatVector
    held: NDArray[np.uint8]
    onset: IntVector
    low_nats: FloatVector
    since: IntVector
    trailing_hits: IntVector
    trailing_totals: IntVector

    def to_bytes(self) -> bytes:
        header = _HEADER.pack(
            MAGIC, STATE_VERSION, self.signature, self.hour, len(self.log_m), len(self.trailing_hits), len(self.held)
        )
        arrays = (
            self.log_m.astype("<f8"), self.held.astype("u1"), self.onset.astype("<i8"), self.low_nats.astype("<f8"),
            self.since.astype("<i8"), self.trailing_hits.astype("<i8"), self.trailing_totals.astype("<i8"),
        )  # fmt: skip
        return header + b"".join(array.tobytes() for array in arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> DetectorState:
        """Raises ``StoreError`` for bytes of another version, a wrong length, or anything else."""
        if len(data) < _HEADER.size or data[:4] != MAGIC:
            raise _unreadable("it does not begin like one")
        _, version, signature, hour, components, indicators, units = _HEADER.unpack_from(data)
        if version != STATE_VERSION:
            raise _unreadable(f"its version is {version}, not {STATE_VERSION}")
        if len(data) != _HEADER.size + 8 * components + units * (1 + 8 + 8 + 8) + 16 * indicators:
            raise _unreadable("its length does not fit its header")
        at = _HEADER.size

        def take(dtype: str, count: int) -> NDArray[np.generic]:
            nonlocal at
            array = np.frombuffer(data, dtype=dtype, count=count, offset=at)
            at += array.nbytes
            return array

        return cls(
            signature=signature, hour=hour,
            log_m=take("<f8", components).astype(np.float64), held=take("u1", units).astype(np.uint8),
            onset=take("<i8", units).astype(np.int64), low_nats=take("<f8", units).astype(np.float64),
            since=take("<i8", units).astype(np.int64), trailing_hits=take("<i8", indicators).astype(np.int64),
            trailing_totals=take("<i8", indicators).astype(np.int64),
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DetectorState) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def _unreadable(why: str) -> StoreError:
    return StoreError(
        f"a stored detector state cannot be read: {why}",
        code="detector_state",
        hint="Start the model's detector anew; sealed counts are not affected.",
    )
