"""One direction of an exchange: the chunks that went by, by reference, up to a cap."""

from __future__ import annotations

MAX_CHUNKS = 4096  # a sender chooses the size of its chunks, and every chunk costs an object


class BodyTap:
    """Counts every byte; keeps the chunks while they fit. ``kept`` is empty from the first byte over the cap on."""

    __slots__ = ("_cap", "_chunks", "size")

    def __init__(self, cap: int) -> None:
        self._cap = cap  # bytes
        self._chunks: list[bytes] | None = []
        self.size = 0  # bytes that went by

    def add(self, chunk: bytes | bytearray | memoryview) -> None:
        """See one chunk. Bytes are referenced; a buffer that its owner may write again is copied while it fits."""
        size = chunk.nbytes if isinstance(chunk, memoryview) else len(chunk)
        self.size += size
        if self._chunks is None:
            return
        if self.size > self._cap or len(self._chunks) >= MAX_CHUNKS:
            self._chunks = None
        elif size:
            self._chunks.append(chunk if isinstance(chunk, bytes) else bytes(chunk))

    def pass_by(self, size: int) -> None:
        """``size`` bytes went by unseen (a file the server sends itself), so what was kept is not the body."""
        self.size += size
        self._chunks = None

    @property
    def kept(self) -> tuple[bytes, ...]:
        return tuple(self._chunks) if self._chunks else ()
