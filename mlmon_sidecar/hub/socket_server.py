"""The hub's door for other processes of the same host: a unix socket, one thread a connection.

Each request frame is answered by one frame in turn. An error of the hub is answered as its type, code and hint and
never with the text of an exception, which may hold payload. A peer of another uid is told so and shut out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.errors import HubUnavailable, MlmonError, StoreError, WireError
from mlmon_sidecar.hub import wire
from mlmon_sidecar.hub.framing import receive_frame, send_frame
from mlmon_sidecar.hub.socket_path import MAX_PATH_BYTES, peer_uid
from mlmon_sidecar.hub.wire import Kind
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.telemetry import Telemetry

MAX_CONNECTIONS = 64
FRAME_SECONDS = 10.0  # from a frame's first byte to its last, and for the answer to be taken


class SocketServer:
    """Serves ``handler`` at ``path`` from ``start`` to ``stop``.

    The caller holds the store's lock from before ``start`` until after ``stop``: whatever socket lies at ``path`` is
    then left over from a dead hub and is replaced. ``handler`` is called from several threads at once.

    Args:
        allowed_uids: who may connect; by default this process's user and root. Where the system does not tell the
            peer's uid, nobody may.
        group: id of a group that may reach the socket file (mode 0660); None: its owner alone (0600). The uids still
            have to be allowed.
        ship: takes a connection over that begins with ``Kind.OPENING``, and returns when it is over; None: refused.
        telemetry: where unexpected errors of the handler are counted.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        handler: HubClient,
        *,
        allowed_uids: frozenset[int] | None = None,
        group: int | None = None,
        ship: Callable[[socket.socket, bytearray], None] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._path = Path(path)
        self._handler = handler
        self._allowed_uids = frozenset({os.geteuid(), 0}) if allowed_uids is None else allowed_uids
        self._group, self._mode = group, 0o600 if group is None else 0o660
        self._ship = ship
        self._telemetry = telemetry or Telemetry()
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._listener: socket.socket | None = None
        self._wake: tuple[socket.socket, socket.socket] | None = None  # a byte into the first ends accepting
        self._acceptor: threading.Thread | None = None
        self._bound = (0, 0)  # device and inode of our socket file
        abandon_in_children(self)

    @property
    def address(self) -> str:
        """Where clients find it, as configuration writes it: ``unix:///path``."""
        return f"unix://{self._path}"

    def start(self) -> None:
        """Returns when clients can connect. ``StoreError`` when the path cannot be bound."""
        if len(os.fsencode(self._path)) > MAX_PATH_BYTES:
            raise self._cannot_listen("its path is too long", "Use the path that socket_path_for gives.")
        try:
            self._remove_left_over()
            listener = self._listen()
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            raise self._cannot_listen(why, "Its directory must exist and be writable.") from error
        self._listener, self._wake = listener, socket.socketpair()
        self._acceptor = threading.Thread(
            target=self._accept, args=(listener, self._wake[1]), name="mlmon-hub-accept", daemon=True
        )
        self._acceptor.start()

    def stop(self, deadline_seconds: float = 5.0) -> None:
        """Answers what has arrived, then closes everything and removes the socket file. Idempotent."""
        if self._listener is None or self._wake is None or self._acceptor is None:
            return
        until = time.monotonic() + deadline_seconds
        self._wake[0].send(b"x")
        self._acceptor.join()
        self._remove_own_file()
        self._listener.close()
        for end in self._wake:
            end.close()
        self._listener = self._wake = self._acceptor = None
        with self._lock:
            open_now = dict(self._connections)
        for connection in open_now:
            _shut(connection, socket.SHUT_RD)  # an idle thread ends; a busy one still sends its answer
        for connection, thread in open_now.items():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _shut(connection, socket.SHUT_RDWR)

    def abandon(self) -> None:
        """In a forked child: the parent's server goes on without us."""
        ends = [*self._connections, *(self._wake or ())]
        for inherited in [*ends, *([self._listener] if self._listener else [])]:
            inherited.close()
        self._lock = threading.Lock()
        self._connections = {}
        self._listener = self._wake = self._acceptor = None

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with contextlib.suppress(OSError):  # Linux narrows the file's mode from its first moment; macOS refuses.
                os.fchmod(listener.fileno(), self._mode)
            listener.bind(os.fspath(self._path))
            if self._group is not None:
                os.chown(self._path, -1, self._group)
            os.chmod(self._path, self._mode)
            listener.listen(MAX_CONNECTIONS)
            listener.setblocking(False)
            found = self._path.lstat()
        except OSError:
            listener.close()
            raise
        self._bound = found.st_dev, found.st_ino
        return listener

    def _accept(self, listener: socket.socket, wake: socket.socket) -> None:
        with selectors.PollSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(wake, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if wake in ready:
                    return
                try:
                    connection, _ = listener.accept()
                except BlockingIOError:  # the client went away again
                    continue
                except OSError as error:  # out of descriptors, for one: wait for some to be given back
                    self._telemetry.failed("hub_socket", error)
                    selector.unregister(listener)
                    if selector.select(timeout=1.0):
                        return
                    selector.register(listener, selectors.EVENT_READ)
                    continue
                self._admit(connection)

    def _admit(self, connection: socket.socket) -> None:
        if peer_uid(connection) not in self._allowed_uids:
            self._turn_away(connection, "peer_refused", "Run the server and the hub as one user, or allow its uid.")
            return
        thread = threading.Thread(target=self._serve, args=(connection,), name="mlmon-hub-serve", daemon=True)
        with self._lock:
            full = len(self._connections) >= MAX_CONNECTIONS
            if not full:
                self._connections[connection] = thread
        if full:
            self._turn_away(connection, "hub_busy", f"It serves {MAX_CONNECTIONS} connections at once; try again.")
            return
        try:
            thread.start()
        except RuntimeError as error:  # the process may start no further thread
            self._telemetry.failed("hub_socket", error)
            with self._lock:
                del self._connections[connection]
            self._turn_away(connection, "hub_busy", "Its process may start no further thread; try again.")

    def _turn_away(self, connection: socket.socket, code: str, hint: str) -> None:
        with connection, contextlib.suppress(OSError):
            # The buffer of a fresh connection takes this frame at once: accepting never waits for a stranger.
            send_frame(connection, Kind.ERROR, wire.encode_error("HubUnavailable", code, hint), time.monotonic() + 0.1)

    def _serve(self, connection: socket.socket) -> None:
        try:
            while _next_byte(connection):
                kind, message = receive_frame(connection, time.monotonic() + FRAME_SECONDS)
                if kind is Kind.OPENING and self._ship is not None:
                    self._ship(connection, message)
                    return
                answer = self._answer(kind, message)
                send_frame(connection, *answer, time.monotonic() + FRAME_SECONDS)
        except WireError as error:  # the stream cannot be followed any further
            self._telemetry.failed("hub_socket", error)
            with contextlib.suppress(OSError):
                send_frame(connection, *_error_answer(error), time.monotonic() + FRAME_SECONDS)
        except HubUnavailable as error:
            with contextlib.suppress(OSError):
                send_frame(connection, *_error_answer(error), time.monotonic() + FRAME_SECONDS)
        except OSError:
            pass  # The client went away or stopped reading; it still has what was not acknowledged.
        except Exception as error:  # in what took the connection over
            self._telemetry.failed("hub_socket", error)
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _answer(self, kind: Kind, message: bytearray) -> tuple[Kind, bytes]:
        try:
            return self._handle(kind, message)
        except MlmonError as error:
            return _error_answer(error)
        except Exception as error:
            self._telemetry.failed("hub_socket", error)
            hint = "An internal error of the hub; its log has more."
            return Kind.ERROR, wire.encode_error(type(error).__name__, "internal_error", hint)

    def _handle(self, kind: Kind, message: bytearray) -> tuple[Kind, bytes]:
        if kind is Kind.FLUSH:
            receipt = self._handler.flush(wire.decode_flush(message))
            return Kind.FLUSH_RECEIPT, wire.encode_flush_receipt(receipt)
        if kind is Kind.LABELS:
            receipts = self._handler.labels(*wire.decode_labels(message))
            return Kind.LABEL_RECEIPTS, wire.encode_label_receipts(receipts)
        if kind is Kind.QUERY:
            return Kind.ANSWER, self._handler.query(*wire.decode_query(message))
        if kind is Kind.ERASE:
            return Kind.ERASED, wire.encode_erased(self._handler.erase(*wire.decode_erase(message)))
        if kind is Kind.ORDER:
            return Kind.HELD, wire.encode_held(self._handler.baseline(wire.decode_order(message)))
        if kind is Kind.PING:
            return Kind.PONG, b""
        raise WireError("that is an answer, not a request", code="frame_kind")

    def _remove_left_over(self) -> None:
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise self._cannot_listen("something else lies at its path", "Move it away, or name another path.")
        self._path.unlink()

    def _remove_own_file(self) -> None:
        with contextlib.suppress(OSError):
            found = self._path.lstat()
            if (found.st_dev, found.st_ino) == self._bound:
                self._path.unlink()

    def _cannot_listen(self, why: str, hint: str) -> StoreError:
        return StoreError(f"the hub cannot listen at {self._path}: {why}", code="socket_unusable", hint=hint)


def _next_byte(connection: socket.socket) -> bool:
    """Waits, as long as it takes, for the first byte of a frame; False at the end of the stream."""
    connection.settimeout(None)
    return bool(connection.recv(1, socket.MSG_PEEK))


def _error_answer(error: MlmonError) -> tuple[Kind, bytes]:
    return Kind.ERROR, wire.encode_error(type(error).__name__, error.code, error.hint)


def _shut(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        connection.shutdown(how)
