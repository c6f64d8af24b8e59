"""From bodies to columns. One file per wire protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlmon_sidecar.decode.json_decoder import JsonDecoder

if TYPE_CHECKING:
    from mlmon_sidecar.interfaces import Decoder

DECODERS: Mapping[str, Decoder] = {
    "json": JsonDecoder(),
}
"""Every wire protocol, by the name the configuration uses: the most specific first, as they are asked in this order."""
