"""Which protocol a body is in: by path, content type and shape, remembered where they repeat."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from mlmon_sidecar.decode.binary import BinaryDecoder
from mlmon_sidecar.decode.sides import Direction, Side
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.interfaces import Decoder
from mlmon_sidecar.records import DropReason

AUTO = "auto"
MAX_REMEMBERED = 1024  # then the memory starts afresh; a client chooses paths and members freely
MAX_MEMBERS = 32  # of an object that make its shape
BY_SIZE = frozenset({AUTO, "binary", "multipart"})  # wanted, and content with a body that is only a size
_BINARY = BinaryDecoder()
_NESTED = (dict, list)


class Claim(NamedTuple):
    """A protocol and why it is this one, as people read it."""

    decoder: Decoder
    reason: str


class Detection:
    """Asks the decoders in their order; the first that claims a body reads it. Safe from any thread."""

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self._decoders = decoders
        self._remembered: dict[int, Claim] = {}

    def claims(self, side: Side, wanted: str = AUTO) -> Iterable[Claim]:
        """The claim to try first and, where that one was only remembered, the one made afresh.

        Args:
            side: the body.
            wanted: a name in the table, or "auto".

        Raises:
            DecodeError: ``unsupported_media_type`` when no decoder claims the body, ``body_too_large`` when it is not
                here and ``wanted`` would have to read it.
        """
        if side.is_size_only:
            if wanted not in BY_SIZE:
                raise DecodeError("the body is larger than what is kept", code=DropReason.BODY_TOO_LARGE)
            yield Claim(_BINARY, f"{side.media_type}, too large to be kept")
            return
        if wanted != AUTO:
            yield Claim(self._decoders[wanted], "by configuration")
            return
        key = _key(side.direction, side.path, side.media_type, _shape(side.json()) if side.is_json else side.body[:1])
        remembered = self._remembered.get(key)
        if remembered is not None:
            yield remembered
        claim = self._detect(side)
        if claim is None:
            if remembered is None:
                raise DecodeError("no protocol reads the body", code=DropReason.UNSUPPORTED_MEDIA_TYPE)
            return
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = claim
        if remembered is None or claim.decoder is not remembered.decoder:
            yield claim

    def remembered(self, direction: Direction, path: str, media_type: str, document: object) -> Decoder | None:
        """Who claimed the last body with a JSON ``document`` of this shape; None where nobody did."""
        claim = self._remembered.get(_key(direction, path, media_type, _shape(document)))
        return None if claim is None else claim.decoder

    def _detect(self, side: Side) -> Claim | None:
        for decoder in self._decoders.values():
            reason = decoder.claims(side, side.direction)
            if reason:
                return Claim(decoder, reason)
        return None


def _key(direction: Direction, path: str, media_type: str, shape: Hashable) -> int:
    """A hash in place of names that clients choose: they would be kept."""
    return hash((direction is Direction.REQUEST, path, media_type, shape))


def _shape(document: object) -> Hashable:
    """Names of the members, and what is in those that hold more: what decoders look at."""
    if not isinstance(document, dict):
        return _inside(document)
    if len(document) > MAX_MEMBERS:
        document = dict(islice(document.items(), MAX_MEMBERS))
    inner = [_inside(value) for value in document.values() if value.__class__ in _NESTED]
    return (*document, *inner) if inner else tuple(document)


def _inside(value: object) -> Hashable:
    if isinstance(value, list) and value:
        first = value[0]
        return (list, *islice(first, MAX_MEMBERS)) if isinstance(first, dict) else (list, first.__class__.__name__)
    return (dict, *islice(value, MAX_MEMBERS)) if isinstance(value, dict) else value.__class__.__name__
