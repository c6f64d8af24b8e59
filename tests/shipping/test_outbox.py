"""Numbered frames: bounded, acknowledged in order, sent again from their start after a lost connection."""

import random

import pytest

from mlmon_sidecar.errors import WireError
from mlmon_sidecar.shipping.frames import MAX_FRAME_BYTES, FrameReader, Kind
from mlmon_sidecar.shipping.outbox import FRAME_BYTES, Outbox


def send(outbox: Outbox, size: int = 1 << 30) -> bytes:
    """What a connection takes that has room for so many bytes."""
    taken = b"".join(bytes(buffer) for buffer in outbox.unsent(3))[:size]
    outbox.sent(len(taken))
    return taken


def test_every_frame_arrives_once_however_connections_end() -> None:
    chance = random.Random(3)
    outbox, received = Outbox(1 << 20), dict[int, bytes]()
    added = [b"%d" % number * chance.randrange(1, 30) for number in range(1, 301)]
    waiting = list(added)
    while waiting or not outbox.empty:
        reader, through = FrameReader(), max(received, default=0)
        outbox.begin_again(through if chance.random() < 0.8 else max(0, outbox.first - 1))
        while chance.random() < 0.95:
            while waiting and chance.random() < 0.5:
                outbox.add(Kind.EXCHANGE, [waiting.pop(0)])
            for frame in reader.feed(send(outbox, chance.randrange(1, 200))):
                assert frame.number <= max(received, default=0) + 1, "no gap"
                received.setdefault(frame.number, frame.payload)
            if chance.random() < 0.3:
                outbox.acknowledged(max(received, default=0))
        if not waiting and max(received, default=0) == 300:
            outbox.acknowledged(300)
    assert [received[number] for number in range(1, 301)] == added
    assert (outbox.bytes_kept, outbox.exchanges_kept, outbox.first) == (0, 0, 301)


def test_the_window_is_in_bytes_and_one_frame_always_fits() -> None:
    outbox = Outbox(FRAME_BYTES + 100)
    assert outbox.add(Kind.EXCHANGE, [bytes(10_000)]) == 1 and not outbox.has_room
    outbox.acknowledged(1)
    assert outbox.has_room and outbox.bytes_kept == 0


def test_a_frame_that_is_too_large_uses_no_number() -> None:
    outbox = Outbox(100)
    with pytest.raises(WireError):
        outbox.add(Kind.EXCHANGE, [bytes(MAX_FRAME_BYTES + 1)])
    assert outbox.empty and outbox.add(Kind.BYE) == 1
