"""Where a store's hub listens, and who is at the other end of a connection."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import tempfile
from pathlib import Path

from mlmon_sidecar.errors import StoreError

MAX_PATH_BYTES = 100  # the kernel's limit is 108 on Linux and 104 on BSD and macOS, with the closing zero

_SOL_LOCAL = 0  # level of LOCAL_PEERCRED; the socket module has no name for it
_LOCAL_PEERCRED = 1
_UCRED = struct.Struct("iII")  # Linux: pid, uid, gid
_XUCRED = struct.Struct("II")  # BSD and macOS: version, uid; groups follow


def socket_path_for(store_path: str | os.PathLike[str]) -> Path:
    """The socket of a store's hub: ``<store>.sock``, or a short stable name where that is too long for the kernel.

    The short name lies in ``mlmon-<uid>`` (0700, made here) under the temporary directory, not under a session's
    runtime directory, which a service may lack and a login shell have. All processes with one uid and one ``TMPDIR``
    find the same path. Raises ``StoreError`` when that directory is somebody else's.
    """
    store = Path(store_path).resolve()
    beside = store.with_name(store.name + ".sock")
    if len(os.fsencode(beside)) <= MAX_PATH_BYTES:
        return beside
    directory = Path(tempfile.gettempdir(), f"mlmon-{os.geteuid()}")
    _make_private(directory)
    return directory / (hashlib.sha256(os.fsencode(store)).hexdigest()[:16] + ".sock")


def peer_uid(connection: socket.socket) -> int | None:
    """Effective uid of the process that opened the other end; None where the system does not tell."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            return int(_UCRED.unpack(credentials)[1])
        credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 256)
        return int(_XUCRED.unpack_from(credentials)[1])
    except (OSError, struct.error):
        return None


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise _unsafe(directory) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise _unsafe(directory)


def _unsafe(directory: Path) -> StoreError:
    return StoreError(
        f"{directory} is not a directory of our own with mode 0700",
        code="socket_directory_unsafe",
        hint="Remove it, or give the store a path below 95 bytes.",
    )
