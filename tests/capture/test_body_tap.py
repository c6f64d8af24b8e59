from __future__ import annotations

from mlmon_sidecar.capture.body_tap import BYTES_A_CHUNK, MAX_CHUNKS, BodyTap


def test_chunks_are_referenced() -> None:
    tap = BodyTap(10)
    chunks = [b"abc" * 1, bytes(4)]
    for chunk in chunks:
        tap.add(chunk)
    assert all(kept is chunk for kept, chunk in zip(tap.kept, chunks, strict=True))
    assert tap.size == 7


def test_exactly_the_cap_is_kept_and_one_more_byte_is_not() -> None:
    tap = BodyTap(10)
    tap.add(b"x" * 10)
    assert tap.kept == (b"x" * 10,)
    tap.add(b"y")
    assert (tap.kept, tap.size) == ((), 11)
    tap.add(b"z" * 100)
    assert (tap.kept, tap.size) == ((), 111)


def test_a_buffer_that_may_change_is_copied() -> None:
    tap = BodyTap(100)
    buffer = bytearray(b"abcdefgh")
    tap.add(memoryview(buffer).cast("I"))
    tap.add(buffer)
    buffer[:] = b"........"
    assert tap.kept == (b"abcdefgh", b"abcdefgh")
    assert tap.size == 16


def test_many_small_chunks_are_bounded() -> None:
    tap = BodyTap(1_000 * MAX_CHUNKS)
    most = 0
    for _ in range(5 * MAX_CHUNKS):
        tap.add(b"xy")
        most = max(most, len(tap.chunks))
    assert MAX_CHUNKS <= most <= BYTES_A_CHUNK * MAX_CHUNKS // 2 + 1
    assert (tap.kept, tap.size) == ((), 2 * 5 * MAX_CHUNKS)


def test_bytes_gone_by_unseen_leave_nothing_to_keep() -> None:
    tap = BodyTap(100)
    tap.add(b"head")
    tap.pass_by(50)
    tap.add(b"tail")
    assert (tap.kept, tap.size) == ((), 58)
