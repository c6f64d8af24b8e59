"""Raw exchanges from senders to the store: each counted once, whatever breaks on the way."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_parts import MODEL, RawHub, Sender, eventually, exactly, frame, scored, stored_ids, talking

from mlmon_sidecar.capture.handoff import Handoff
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.hub.raw_intake import RawIntake
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.hub.socket_server import SocketServer
from mlmon_sidecar.records import MINUTE_NS, DropReason, Exchange, Measurement
from mlmon_sidecar.shipping.exchange import pack_exchange
from mlmon_sidecar.shipping.frames import FRAME_HEADER, Counts, Kind, pack_counts


def exchange_frame(number: int, **changes: object) -> bytes:
    return frame(Kind.EXCHANGE, number, *pack_exchange(scored(number, **changes)))


def shipped(hub: RawHub) -> list[int]:
    return [value for name, value in hub.counters.items() if name.startswith("shipped.")]


def test_everything_arrives_once_and_the_sender_is_forgotten(tmp_path: Path) -> None:
    with RawHub(tmp_path) as hub:
        with Sender(hub.path) as one, Sender(hub.path) as other:
            one.put(300)
            other.put(200)
            one.put(3, request_body=(b"no json",), request_bytes=7)
        assert one.lost == other.lost == 0
        counters = hub.counters
        assert counters["exchanges.accepted"] == 503 and counters["exchanges.decoded"] == 500
        assert counters["exchanges.dropped.not_json"] == 3
        eventually(lambda: shipped(hub), lambda numbers: numbers == [0, 0])
        assert sorted(row.origin for row in hub.store.recorders()) == [f"{socket.gethostname()}:{os.getpid()}"] * 2
        assert all(row.closed for row in hub.store.recorders()), "nobody waits for their minutes"
        hub.store.forget_recorders(0)
        assert shipped(hub) == []
    assert stored_ids(tmp_path) == sorted([*one.ids[:300], *other.ids])


def test_hubs_come_and_go_and_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    done = threading.Event()
    with Sender(tmp_path / "hub.sock") as sender:

        def serve() -> None:
            while not done.wait(0.002):
                sender.put()

        server = threading.Thread(target=serve)
        server.start()
        for round_ in range(1, 6):
            with RawHub(tmp_path) as hub:
                hub.settled(40 * round_)
        done.set()
        server.join()
        with RawHub(tmp_path) as hub:
            hub.settled(len(sender.ids))
            counters = hub.counters
            panes = hub.store.open_panes(MODEL, 1 << 40, 1000)
            sealed = hub.store.fleet_panes(MODEL, 0, 1 << 40)
    assert counters["exchanges.accepted"] == counters["exchanges.decoded"] == len(sender.ids)
    assert stored_ids(tmp_path) == sorted(sender.ids)
    assert len(panes) + len(sealed) > 0


def test_without_a_hub_memory_is_bounded_and_the_loss_counted(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    with Sender(path, max_bytes=200_000, window=50_000) as sender:
        body = bytes(1_000)
        sender.put(400, request_body=(body,), request_bytes=1_000)
        eventually(lambda: sender.shipper._outbox.has_room, lambda room: not room)
        sender.put(600, request_body=(body,), request_bytes=1_000)
        assert sender.shipper._outbox.bytes_kept < 50_000 + 3_000
        assert sender.handoff.stats().bytes_in_queue <= 200_000
        dropped = sender.handoff.stats().dropped_full
        assert dropped + len(sender.ids) == 1_000 and dropped > 500
        with RawHub(tmp_path) as hub:
            counters = hub.settled(1_000)
            assert counters["exchanges.accepted"] == 1_000
            assert counters["exchanges.dropped.queue_full"] == dropped
            assert counters["exchanges.dropped.not_json"] == len(sender.ids)
            assert {m.name: m.value for m in sender.shipper.measurements()}["mlmon.self.dropped"] == dropped


def test_a_sender_with_nobody_to_hear_it_ends_in_time_and_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sender = Sender(tmp_path / "hub.sock", window=4_000)
    sender.shipper.start()
    sender.put(20)
    begun = time.monotonic()
    assert sender.shipper.stop(0.5) == 20
    assert time.monotonic() - begun < 20, "half a second, on a machine that has nothing else to do"
    assert "exchanges are lost" in caplog.text
    quiet = Sender(tmp_path / "hub.sock")
    quiet.shipper.start()
    begun = time.monotonic()
    assert quiet.shipper.stop(600) == 0
    assert time.monotonic() - begun < 60, "nothing waits, so nobody is waited for"


def test_a_small_window_does_not_wait_for_the_flush_interval(tmp_path: Path) -> None:
    """At one window a minute this would take an hour."""
    with RawHub(tmp_path, interval=60.0) as hub, Sender(hub.path, window=100_000) as sender:
        body = b'{"text":"%s"}' % (b"x" * 40_000)
        sender.put(60, request_body=(body,), request_bytes=len(body))
        eventually(lambda: sum(hub.counters.get(name, 0) for name in ("exchanges.decoded",)), lambda n: n >= 50)


def test_a_stream_arrives_with_its_chunks_and_their_times(tmp_path: Path) -> None:
    events = tuple(b"data: %d\n\n" % number for number in range(200))
    now = time.monotonic_ns()
    stream = scored(
        response_body=events, response_bytes=sum(map(len, events)), response_chunks=5_000, trace_id=1 << 100, span_id=7,
        chunk_ns=tuple(now + 1_000 * number for number in range(64)), response_tail=(b"data: [DONE]\n\n",),
        trace_sampled=True,
    )  # fmt: skip
    seen: list[Exchange] = []

    class Reader:
        def __init__(self, handoff: Handoff) -> None:
            self.handoff = handoff

        def start(self) -> None:
            pass

        def stop(self, deadline_seconds: float) -> int:
            seen.extend(self.handoff.drain(10))
            return 0

        def flush(self) -> bool:
            return True

        def measurements(self) -> list[Measurement]:
            return []

    intake = RawIntake(None, lambda handoff, *_: Reader(handoff), SystemClock(), lambda sender: 0)  # type: ignore[arg-type]
    server = SocketServer(tmp_path / "hub.sock", None, ship=intake.serve)  # type: ignore[arg-type]
    server.start()
    with talking(tmp_path / "hub.sock") as (connection, _):
        connection.sendall(frame(Kind.EXCHANGE, 1, *pack_exchange(stream)))
        eventually(lambda: intake._sessions["by-hand"]._received == 1)
    server.stop()
    intake.stop(5)
    assert seen == [stream]


# ---------------------------------------------------------------- numbers


def test_what_is_sent_again_is_left_out(tmp_path: Path) -> None:
    with RawHub(tmp_path) as hub:
        frames = [exchange_frame(number) for number in range(1, 6)]
        with talking(hub.path) as (stream, through):
            assert through == 0
            stream.sendall(b"".join(frames[:3]) + frames[1])
            hub.settled(3)
            length, _, kind, _, acknowledged = FRAME_HEADER.unpack(exactly(stream, FRAME_HEADER.size))
            assert (kind, length) == (Kind.ACK, 0) and 1 <= acknowledged <= 3
        with talking(hub.path, first=2) as (stream, through):
            assert through == 3
            stream.sendall(b"".join(frames[1:]) + frame(Kind.BYE, 6))
            hub.settled(5)
            eventually(lambda: hub.counters["shipped.by-hand"], lambda number: number == 0)
        assert hub.counters["exchanges.accepted"] == hub.counters["exchanges.decoded"] == 5


def test_a_frame_that_cannot_be_read_is_given_a_second_chance_and_no_third(tmp_path: Path) -> None:
    with RawHub(tmp_path) as hub:
        bad = frame(Kind.EXCHANGE, 2, b"no exchange at all")
        for through in (0, 1):
            with talking(hub.path, first=1) as (stream, known):
                assert known == through
                stream.sendall(exchange_frame(1) + bad + exchange_frame(3))
                hub.settled(1 if through == 0 else 3)
        counters = hub.counters
        assert (counters["exchanges.accepted"], counters["exchanges.decoded"]) == (3, 2)
        assert counters["exchanges.dropped." + DropReason.INTERNAL_ERROR] == 1
        assert hub.bad_frames == 1


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        exchange_frame(7),
        frame(Kind.ACK, 1),
        frame(Kind.COUNTS, 1, b"[]"),
        FRAME_HEADER.pack(1 << 31, 1, 1, 0, 1),
    ],
    ids=["http", "gap", "ack", "no counts", "length"],
)
def test_bad_frames_close_their_connection_and_are_counted(said: bytes, tmp_path: Path) -> None:
    with RawHub(tmp_path) as hub, Sender(hub.path) as sender:
        sender.put(5)
        with talking(hub.path) as (stream, _):
            stream.sendall(said)
            while stream.recv(4096):
                pass  # it says why, and closes
        eventually(lambda: hub.bad_frames, lambda bad: bad == 1)
        sender.put(5)
        assert hub.settled(10)["exchanges.decoded"] == 10, "the others go on"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_stream_of_bytes_harms_the_hub(data: st.DataObject, fuzzed: RawHub) -> None:
    """Whole, cut and damaged frames: the hub answers the next caller, and its thread of that connection is gone."""
    good = exchange_frame(1) + frame(Kind.COUNTS, 2, pack_counts(Counts({}, 1))) + frame(Kind.BYE, 3)
    damaged = bytearray(good[: data.draw(st.integers(0, len(good)))])
    for _ in range(data.draw(st.integers(0, 5)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with talking(fuzzed.path, sender=f"fuzz-{os.urandom(4).hex()}") as (stream, _), contextlib.suppress(OSError):
        stream.sendall(damaged + data.draw(st.binary(max_size=30)))
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(4096):
            pass
    client = SocketHubClient(fuzzed.path)
    client.ping()
    client.close()
    assert not [name for name in fuzzed.telemetry.snapshot() if name.startswith("errors.") and "WireError" not in name]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> object:
    with RawHub(tmp_path_factory.mktemp("fuzzed")) as hub:
        yield hub


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("apart_ns", [0, 7_200_000_000_000], ids=["one clock", "a clock of its own"])
def test_an_exchange_belongs_to_its_minute_on_the_senders_clock(apart_ns: int, tmp_path: Path) -> None:
    mono, wall = time.monotonic_ns(), time.time_ns()
    begun = mono - 1_800_000_000_000  # half an hour ago: a hub that took the reading as it is would be hours off
    ended = begun + 250_000_000
    with RawHub(tmp_path) as hub, talking(hub.path, mono_ns=mono + apart_ns, wall_ns=wall) as (stream, _):
        times = {"started_ns": begun + apart_ns, "first_byte_ns": ended + apart_ns, "ended_ns": ended + apart_ns}
        stream.sendall(exchange_frame(1, **times) + frame(Kind.BYE, 2))
        hub.settled(1)
        eventually(lambda: hub.counters["shipped.by-hand"], lambda number: number == 0)
        ((at,),) = hub.store._rows("SELECT event_ns FROM predictions")
        assert abs(at - (wall - 1_800_000_000_000)) < 1_000_000_000
        figures = {figure.name: figure for figure in hub.raw.measurements()}
        assert figures["mlmon.predictions"].value == 1  # type: ignore[union-attr]
        assert abs(figures["mlmon.prediction.duration"].total - 0.25) < 0.001  # type: ignore[union-attr]


def test_no_minute_is_complete_that_the_sender_may_add_to(tmp_path: Path) -> None:
    now = time.monotonic_ns()
    then = now - 3_600_000_000_000
    with RawHub(tmp_path) as hub, talking(hub.path) as (stream, _):

        def through() -> int:
            return max((row.complete_through[MODEL] for row in hub.store.recorders()), default=-1)

        stream.sendall(frame(Kind.COUNTS, 1, pack_counts(Counts({}, then))))
        told = eventually(through, lambda minute: minute > 0)
        assert told in ((time.time_ns() - 3_600_000_000_000) // MINUTE_NS - k for k in (1, 2))
        stream.sendall(frame(Kind.COUNTS, 2, pack_counts(Counts({}, now))))
        eventually(through, lambda minute: minute > told + 50)


def test_a_sender_that_never_comes_back_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlmon_sidecar.hub.raw_intake.MIN_SILENCE_NS", 1)
    with RawHub(tmp_path) as hub:
        with talking(hub.path) as (stream, _):
            stream.sendall(exchange_frame(1) + exchange_frame(2)[:50])
            hub.settled(1)
        eventually(lambda: hub.store.recorders()[0].closed)
        figures = {figure.name: figure for figure in hub.raw.measurements()}
        assert figures["mlmon.predictions"].value == 1, "what it counted stays counted"  # type: ignore[union-attr]
        with talking(hub.path) as (stream, through):
            assert through == 1, "and should it come back after all, it is known"


# ---------------------------------------------------------------- the door


def test_the_socket_is_its_owners_or_its_groups(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    for group, mode in ((None, 0o600), (os.getgid(), 0o660)):
        server = SocketServer(path, None, group=group)  # type: ignore[arg-type]  # nobody asks it anything
        server.start()
        found = path.stat()
        server.stop()
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (mode, os.getgid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_foreign_uid_is_refused_and_an_allowed_one_is_not() -> None:
    with tempfile.TemporaryDirectory() as folder, RawHub(Path(folder)) as hub:
        os.chmod(folder, 0o711)  # pytest's own folders are closed to others
        hub.path.chmod(0o666)  # what is checked is who connects, not what the file allows
        assert opened_as(4_242, hub.path) == "peer_refused"
        server = hub._host._server
        server._allowed_uids |= {4_242}
        assert opened_as(4_242, hub.path) == "opened"


def opened_as(uid: int, path: Path) -> str:
    """What a process of that user is told."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            from mlmon_sidecar.shipping.frames import Opening
            from mlmon_sidecar.shipping.link import Link

            Link(str(path)).connect(Opening("s", "here", 1, 1, 1, 1))
            os.write(write, b"opened")
        except HubUnavailable as error:
            os.write(write, error.code.encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as said:
        return said.read()
