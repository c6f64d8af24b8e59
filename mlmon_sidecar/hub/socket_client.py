"""A serving process's way to a hub on the same host."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.errors import BaselineError, FeedbackError, HubUnavailable, WireError
from mlmon_sidecar.hub import wire
from mlmon_sidecar.hub.framing import receive_frame, send_frame
from mlmon_sidecar.hub.wire import Kind
from mlmon_sidecar.records import BaselineOrder, Erased, Flush, FlushReceipt, HeldBaseline, Label, LabelReceipt

Answer = TypeVar("Answer")

_REFUSALS = {"BaselineError": BaselineError, "FeedbackError": FeedbackError, "WireError": WireError}
"""Errors about the request itself. Every other error of the hub may pass, so callers see ``HubUnavailable``."""


class SocketHubClient:
    """``HubClient`` over the unix socket at ``path``.

    One connection, made at the first call, kept, and made anew when the hub was restarted; calls of several threads
    take turns. A forked child opens its own. Calls raise ``HubUnavailable`` when no answer came, and ``BaselineError``,
    ``FeedbackError`` or ``WireError`` when the hub refuses the request itself, which no repetition mends.

    Args:
        timeout_seconds: > 0; for a whole call, and once more for the turns of other threads before it.
    """

    def __init__(self, path: str | os.PathLike[str], timeout_seconds: float = 5.0) -> None:
        self._path = Path(path)
        self._timeout_seconds = timeout_seconds
        self._turn = threading.Lock()
        self._stream: socket.socket | None = None
        abandon_in_children(self)

    def flush(self, flush: Flush) -> FlushReceipt:
        return self._call(Kind.FLUSH, wire.encode_flush(flush), Kind.FLUSH_RECEIPT, wire.decode_flush_receipt)

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        return self._call(Kind.LABELS, wire.encode_labels(labels, key), Kind.LABEL_RECEIPTS, wire.decode_label_receipts)

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        return self._call(Kind.QUERY, wire.encode_query(path, params), Kind.ANSWER, bytes)

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        return self._call(Kind.ERASE, wire.encode_erase(ids, aliases), Kind.ERASED, wire.decode_erased)

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        return self._call(Kind.ORDER, wire.encode_order(order), Kind.HELD, wire.decode_held)

    def ping(self) -> None:
        """Returns when a hub answers."""
        self._call(Kind.PING, b"", Kind.PONG, bytes)

    def close(self) -> None:
        """Ends the connection. A later call opens another."""
        with self._turn:
            self._disconnect()

    def abandon(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._turn = threading.Lock()
        self._disconnect()

    def _call(self, kind: Kind, message: bytes, expected: Kind, read: Callable[[bytearray], Answer]) -> Answer:
        if not self._turn.acquire(timeout=self._timeout_seconds):
            raise self._unavailable("hub_timeout")
        try:
            answered, answer = self._exchange(kind, message)
            if answered is Kind.ERROR:
                error_type, code, hint = wire.decode_error(answer)
            elif answered is expected:
                return read(answer)
            else:
                raise WireError("the answer is of another kind", code="frame_kind")
        except TimeoutError as error:
            self._disconnect()  # an answer that comes late must not be taken for the next one
            raise self._unavailable("hub_timeout") from error
        except OSError as error:
            self._disconnect()
            raise self._unavailable("hub_unreachable") from error
        except WireError as error:
            self._disconnect()
            raise self._unavailable(error.code) from error
        finally:
            self._turn.release()
        raise _REFUSALS.get(error_type, HubUnavailable)("the hub answered with an error", code=code, hint=hint)

    def _exchange(self, kind: Kind, message: bytes) -> tuple[Kind, bytearray]:
        until = time.monotonic() + self._timeout_seconds
        stream = self._connected()
        # A hub that shuts us out says why and closes; the reason can be read even where sending already fails.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            send_frame(stream, kind, message, until)
        return receive_frame(stream, until)

    def _connected(self) -> socket.socket:
        if self._stream is not None and _is_idle(self._stream):
            return self._stream
        self._disconnect()
        self._stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream.settimeout(self._timeout_seconds)
        self._stream.connect(os.fspath(self._path))
        return self._stream

    def _disconnect(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _unavailable(self, code: str) -> HubUnavailable:
        return HubUnavailable(
            f"no answer from the hub at {self._path}",
            code=code,
            hint="Nothing is lost yet: it is tried again. The hub starts with the first server process or 'mlmon hub'.",
        )


def _is_idle(stream: socket.socket) -> bool:
    """Between calls nothing may be there to read: neither the end of the stream nor an answer to nobody."""
    stream.setblocking(False)
    try:
        stream.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
