"""Recorder and hub in processes of their own, over a real socket, with kill -9 in between."""

import contextlib
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from mlmon_sidecar.errors import FeedbackError, HubUnavailable, StoreError, WireError
from mlmon_sidecar.hub import framing, socket_server, wire
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.hub.socket_path import MAX_PATH_BYTES, peer_uid, socket_path_for
from mlmon_sidecar.hub.socket_server import SocketServer
from mlmon_sidecar.records import (
    Flush,
    FlushReceipt,
    FlushStatus,
    Label,
    LabelReceipt,
    LabelStatus,
    Pane,
    PaneKey,
    RedactedRows,
)
from mlmon_sidecar.telemetry import Telemetry

HERE = Path(__file__).parent
PATIENCE = 30  # seconds; only a broken test waits so long

Connect = Callable[..., SocketHubClient]
Spawn = Callable[..., subprocess.Popen[str]]


class Hub:
    """Answers from memory; ``on_flush`` may wait or raise."""

    def __init__(self, on_flush: Callable[[Flush], object] = lambda flush: None) -> None:
        self.on_flush = on_flush
        self.flushes: list[Flush] = []

    def flush(self, flush: Flush) -> FlushReceipt:
        self.on_flush(flush)
        self.flushes.append(flush)
        return FlushReceipt(FlushStatus.COMMITTED, 2)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return [LabelReceipt(label.id, LabelStatus.PENDING, "not here") for label in labels]

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return f"{path} {dict(params)}".encode()

    def close(self) -> None:
        pass


def a_flush(seq: int = 1) -> Flush:
    pane = Pane(PaneKey("fraud", "v1", "", "abcd", 5), np.array([1, 0, -7], dtype=np.int64))
    return Flush("recorder", seq, (pane,), RedactedRows(), {"a": 1}, {"fraud": 5}, 9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return socket_path_for(tmp_path / "mlmon.db")


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def server(path: Path, hub: Hub) -> Iterator[SocketServer]:
    server = SocketServer(path, hub)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connected() -> Iterator[Connect]:
    """Makes clients that are closed at the end of the test."""
    clients: list[SocketHubClient] = []

    def connect(path: Path, timeout_seconds: float = PATIENCE) -> SocketHubClient:
        clients.append(SocketHubClient(path, timeout_seconds))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture
def client(server: SocketServer, path: Path, connected: Connect) -> SocketHubClient:
    return connected(path)


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts one of the two programs and waits until it says ``ready``."""
    started: list[subprocess.Popen[str]] = []

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, HERE / program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def connect(path: Path) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(PATIENCE)
    stream.connect(os.fspath(path))
    return stream


def read_to_end(stream: socket.socket) -> bytes:
    data = b""
    while chunk := stream.recv(4096):
        data += chunk
    return data


def test_every_call_arrives_and_its_answer_comes_back(client: SocketHubClient, hub: Hub) -> None:
    client.ping()
    assert client.flush(a_flush()) == FlushReceipt(FlushStatus.COMMITTED, 2)
    (flush,) = hub.flushes
    assert flush.panes[0].vector.tolist() == [1, 0, -7]
    assert flush.counters == {"a": 1}
    receipts = client.labels([Label("x", "yes", 5), Label("y", "no", 6)])
    assert receipts == [
        LabelReceipt("x", LabelStatus.PENDING, "not here"),
        LabelReceipt("y", LabelStatus.PENDING, "not here"),
    ]
    assert client.query("series", {"model": "fraud"}) == b"series {'model': 'fraud'}"


def test_four_processes_are_served_at_the_same_time(path: Path, spawn: Spawn) -> None:
    together = threading.Barrier(4)

    def meet(flush: Flush) -> None:
        if flush.seq == 1:
            together.wait(PATIENCE)  # breaks unless four requests are in the handler at once

    hub = Hub(meet)
    server = SocketServer(path, hub)
    server.start()
    recorders = [spawn("recorder_program.py", path, number, 20) for number in range(4)]
    for recorder in recorders:
        assert recorder.stdin is not None
        recorder.stdin.write("go\n")
        recorder.stdin.flush()
    outcomes = [json.loads(recorder.communicate(timeout=PATIENCE)[0]) for recorder in recorders]
    server.stop()
    assert outcomes == [{"committed": 20}] * 4
    assert {(flush.recorder_id, flush.seq) for flush in hub.flushes} == {
        (str(number), seq) for number in range(4) for seq in range(1, 21)
    }


def test_a_hub_killed_before_it_acknowledges_counts_each_flush_once(tmp_path: Path, path: Path, spawn: Spawn) -> None:
    store = tmp_path / "mlmon.db"
    first = spawn("hub_program.py", store, path, "--die-after", 40)
    recorders = [spawn("recorder_program.py", path, number, 25) for number in range(4)]
    for recorder in recorders:
        assert recorder.stdin is not None
        recorder.stdin.write("go\n")
        recorder.stdin.flush()
    assert first.wait(PATIENCE) == -signal.SIGKILL
    assert len(store.read_text().splitlines()) == 40
    spawn("hub_program.py", store, path)  # takes the lock and replaces the socket left behind
    seen = [json.loads(recorder.communicate(timeout=2 * PATIENCE)[0]) for recorder in recorders]
    lines = sorted(store.read_text().splitlines())
    expected = [f"{number} {seq} {seq},{number},{1 << 40},0" for number in range(4) for seq in range(1, 26)]
    assert lines == sorted(expected)
    committed, repeated = (sum(outcome.get(how, 0) for outcome in seen) for how in ("committed", "duplicate"))
    assert committed + repeated == 100
    assert 1 <= repeated <= 4  # committed, killed, repeated unchanged: one a recorder at most
    assert sum(outcome.get("hub_unreachable", 0) for outcome in seen) >= 1


def test_a_forked_child_keeps_neither_lock_nor_socket_of_a_killed_hub_alive(
    tmp_path: Path, path: Path, spawn: Spawn, connected: Connect
) -> None:
    store = tmp_path / "mlmon.db"
    hub = spawn("hub_program.py", store, path, "--fork")
    client = connected(path)
    client.ping()
    path.with_suffix(".fork").touch()
    assert hub.stdout is not None
    child = int(hub.stdout.readline())
    client.ping()
    lock = StoreLock(store)
    assert not lock.try_acquire()
    hub.kill()
    hub.wait(PATIENCE)
    os.kill(child, 0)  # the child lives
    with pytest.raises(HubUnavailable) as unavailable:
        client.ping()
    assert unavailable.value.code == "hub_unreachable"  # refused at once, not waited for
    assert lock.try_acquire()
    server = SocketServer(path, Hub())
    server.start()
    client.ping()
    server.stop()
    lock.release()


FORKING_CLIENT = """
import os, sys
from mlmon_sidecar.hub.socket_client import SocketHubClient
client = SocketHubClient(sys.argv[1], timeout_seconds=30)
client.ping()
inode = os.fstat(client._stream.fileno()).st_ino
client._turn.acquire()  # as another thread of the parent might hold it
child = os.fork()
if child == 0:
    assert client._stream is None
    client.ping()
    assert os.fstat(client._stream.fileno()).st_ino != inode
    os._exit(0)
client._turn.release()
assert os.waitpid(child, 0)[1] == 0
client.ping()
assert os.fstat(client._stream.fileno()).st_ino == inode
"""


def test_a_forked_child_opens_a_connection_of_its_own(server: SocketServer, path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKING_CLIENT, path], check=True, timeout=PATIENCE)


def test_no_hub_is_unavailable_with_a_hint(path: Path, connected: Connect) -> None:
    client = connected(path)
    for call in (lambda: client.flush(a_flush()), lambda: client.labels([]), lambda: client.query("status", {})):
        with pytest.raises(HubUnavailable) as unavailable:
            call()
        assert unavailable.value.code == "hub_unreachable"
        assert "mlmon hub" in unavailable.value.hint


def test_a_new_hub_at_the_same_path_is_found_without_a_failed_call(path: Path, connected: Connect) -> None:
    client = connected(path)
    for _ in range(2):
        server = SocketServer(path, Hub())
        server.start()
        client.ping()
        server.stop()
        assert not path.exists()
    client.close()


def test_a_hub_that_does_not_answer_in_time_is_unavailable_and_its_late_answer_is_not_used(
    path: Path, connected: Connect
) -> None:
    release = threading.Event()
    hub = Hub(lambda flush: release.wait(PATIENCE))
    server = SocketServer(path, hub)
    server.start()
    client = connected(path, timeout_seconds=0.2)
    with pytest.raises(HubUnavailable) as late:
        client.flush(a_flush())
    assert late.value.code == "hub_timeout"
    client._timeout_seconds = PATIENCE
    assert client.query("status", {}) == b"status {}"  # over another connection: the first one still waits
    release.set()
    server.stop()


def test_a_peer_of_another_uid_is_refused(path: Path, hub: Hub, connected: Connect) -> None:
    server = SocketServer(path, hub, allowed_uids=frozenset({os.geteuid() + 1}))
    server.start()
    with pytest.raises(HubUnavailable) as refused:
        connected(path).flush(a_flush())
    assert refused.value.code == "peer_refused"
    assert hub.flushes == []
    server.stop()


def test_the_peer_is_known_by_its_uid(path: Path) -> None:
    ours, theirs = socket.socketpair()
    assert peer_uid(ours) == os.geteuid()
    ours.close()
    theirs.close()
    assert peer_uid(ours) is None


def test_only_the_owner_may_touch_the_socket_file(server: SocketServer, path: Path) -> None:
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert server.address == f"unix://{path}"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (struct.pack("<BBI", 1, 1, wire.MAX_FRAME_BYTES + 1), "frame_too_large"),
        (struct.pack("<BBI", 1, 1, 2**32 - 1) + bytes(100_000), "frame_too_large"),
        (struct.pack("<BBI", 9, 1, 0), "frame_version"),
        (struct.pack("<BBI", 1, 77, 0), "frame_kind"),
        (b"GET / HTTP/1.1\r\n\r\n", "frame_version"),
    ],
)
def test_a_frame_that_cannot_be_followed_ends_its_connection_only(
    client: SocketHubClient, path: Path, sent: bytes, code: str
) -> None:
    client.ping()
    before = client._stream
    with connect(path) as stream:
        stream.sendall(sent)
        kind, answer = framing.receive_frame(stream, time.monotonic() + PATIENCE)
        with contextlib.suppress(ConnectionResetError):  # closed with some of our bytes unread
            assert stream.recv(1) == b""
    assert kind is wire.Kind.ERROR
    assert wire.decode_error(answer)[:2] == ("WireError", code)
    client.ping()
    assert client._stream is before


@pytest.mark.parametrize("size", [1, 5, 6, 40])
def test_a_cut_frame_ends_its_connection_only(client: SocketHubClient, path: Path, hub: Hub, size: int) -> None:
    message = wire.encode_flush(a_flush())
    with connect(path) as stream:
        stream.sendall((struct.pack("<BBI", 1, wire.Kind.FLUSH, len(message)) + message)[:size])
        stream.shutdown(socket.SHUT_WR)
        assert read_to_end(stream) == b""
    client.ping()
    assert hub.flushes == []


def test_a_frame_that_never_ends_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_server, "FRAME_SECONDS", 0.05)
    server = SocketServer(path, Hub())
    server.start()
    with connect(path) as stream:
        stream.sendall(b"\x01")
        assert read_to_end(stream) == b""
    server.stop()


def test_a_malformed_message_is_refused_and_the_connection_goes_on(path: Path, server: SocketServer, hub: Hub) -> None:
    with connect(path) as stream:
        for kind in (wire.Kind.FLUSH, wire.Kind.LABELS, wire.Kind.QUERY, wire.Kind.PONG):
            framing.send_frame(stream, kind, b"MLMNnonsense", time.monotonic() + PATIENCE)
            answered, answer = framing.receive_frame(stream, time.monotonic() + PATIENCE)
            assert answered is wire.Kind.ERROR
            assert wire.decode_error(answer)[0] == "WireError"
    assert hub.flushes == []


@pytest.mark.parametrize(
    ("raised", "seen", "code"),
    [
        (StoreError("row 4111-1111", code="disk_full", hint="Make room."), HubUnavailable, "disk_full"),
        (FeedbackError("4111-1111", code="too_many"), FeedbackError, "too_many"),
        (WireError("4111-1111", code="vector_shape"), WireError, "vector_shape"),
        (ValueError("4111-1111"), HubUnavailable, "internal_error"),
    ],
)
def test_errors_of_the_hub_arrive_by_code_and_without_their_text(
    path: Path, raised: Exception, seen: type[Exception], code: str, connected: Connect
) -> None:
    def fail(flush: Flush) -> None:
        raise raised

    telemetry = Telemetry()
    server = SocketServer(path, Hub(fail), telemetry=telemetry)
    server.start()
    client = connected(path)
    for _ in range(2):
        with pytest.raises(seen) as refused:
            client.flush(a_flush())
        assert type(refused.value) is seen
        assert refused.value.code == code  # type: ignore[attr-defined]  # every class of the table has it
        assert "4111" not in str(refused.value)
    assert client.query("status", {}) == b"status {}"
    server.stop()
    unexpected = {"errors.hub_socket.ValueError": 2} if type(raised) is ValueError else {}
    assert telemetry.snapshot() == unexpected


def test_a_hub_of_another_version_is_unavailable(path: Path, connected: Connect) -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(path))
    listener.listen()

    def answer() -> None:
        with listener, listener.accept()[0] as stream:
            stream.sendall(struct.pack("<BBI", 200, 8, 0))

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(HubUnavailable) as unavailable:
        connected(path).ping()
    thread.join()
    assert unavailable.value.code == "frame_version"


def test_more_connections_than_allowed_are_told_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, connected: Connect
) -> None:
    monkeypatch.setattr(socket_server, "MAX_CONNECTIONS", 2)
    server = SocketServer(path, Hub())
    server.start()
    clients = [connected(path) for _ in range(3)]
    for client in clients[:2]:
        client.ping()
    with pytest.raises(HubUnavailable) as busy:
        clients[2].flush(a_flush())
    assert busy.value.code == "hub_busy"
    clients[0].close()
    server.stop()


def test_stopping_answers_what_has_arrived_and_leaves_no_thread(path: Path, connected: Connect) -> None:
    entered, release = threading.Event(), threading.Event()

    def wait(flush: Flush) -> None:
        entered.set()
        release.wait(PATIENCE)

    server = SocketServer(path, Hub(wait))
    server.start()
    receipts: list[FlushReceipt] = []
    sender = threading.Thread(target=lambda: receipts.append(connected(path).flush(a_flush())))
    sender.start()
    assert entered.wait(PATIENCE)
    idle = connected(path)
    idle.ping()
    stopper = threading.Thread(target=server.stop, args=(PATIENCE,))
    stopper.start()
    assert idle._stream is not None
    idle._stream.settimeout(PATIENCE)
    assert idle._stream.recv(1) == b""  # by now every connection was told to end
    release.set()
    stopper.join(PATIENCE)
    sender.join(PATIENCE)
    assert receipts == [FlushReceipt(FlushStatus.COMMITTED, 2)]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mlmon-hub")]
    with pytest.raises(HubUnavailable):
        idle.ping()
    server.stop()


def test_stopping_does_not_wait_beyond_its_deadline(path: Path, connected: Connect) -> None:
    release = threading.Event()
    server = SocketServer(path, Hub(lambda flush: release.wait(PATIENCE)))
    server.start()
    client = connected(path)
    failed: list[str] = []

    def send() -> None:
        with pytest.raises(HubUnavailable) as unavailable:
            client.flush(a_flush())
        failed.append(unavailable.value.code)

    sender = threading.Thread(target=send)
    sender.start()
    while not server._connections:
        pass
    server.stop(0.05)
    sender.join(PATIENCE)
    assert failed == ["hub_unreachable"]
    release.set()


def test_a_hub_that_took_over_keeps_its_socket_when_the_old_one_stops(path: Path, connected: Connect) -> None:
    old, new = SocketServer(path, Hub()), SocketServer(path, Hub())
    old.start()
    new.start()
    old.stop()
    connected(path).ping()
    new.stop()


def test_a_path_that_cannot_be_bound_is_an_error_with_a_hint(tmp_path: Path) -> None:
    taken = tmp_path / "file.sock"
    taken.write_text("precious")
    for wrong in (taken, tmp_path / "missing" / "a.sock", tmp_path / ("a" * MAX_PATH_BYTES)):
        with pytest.raises(StoreError) as unusable:
            SocketServer(wrong, Hub()).start()
        assert unusable.value.code == "socket_unusable"
        assert unusable.value.hint
    assert taken.read_text() == "precious"


def test_a_long_path_has_a_short_stable_one_in_a_private_directory(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, connected: Connect
) -> None:
    temporary = tmp_path_factory.mktemp("t")  # a short name: the sockets in it have little over a hundred bytes
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(temporary))
    assert socket_path_for(tmp_path / "a.db") == tmp_path.resolve() / "a.db.sock"
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    short = socket_path_for(deep / "a.db")
    assert len(os.fsencode(short)) <= MAX_PATH_BYTES
    assert stat.S_IMODE(short.parent.stat().st_mode) == 0o700
    monkeypatch.chdir(deep)
    assert socket_path_for("a.db") == short != socket_path_for("b.db")
    server = SocketServer(short, Hub())
    server.start()
    connected(short).ping()
    server.stop()
    short.parent.chmod(0o755)
    with pytest.raises(StoreError) as unsafe:
        socket_path_for("a.db")
    assert unsafe.value.code == "socket_directory_unsafe"
