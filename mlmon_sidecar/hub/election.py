"""Who is the hub of a store: the process that holds the lock on ``<store>.lock``.

``flock`` belongs to an open file, not to a process, and the kernel drops it when the last descriptor of that open
file is closed, also on kill -9. Hence the care about copies: the descriptor is closed on exec, and a forked child
closes its copy at once (``after_fork``). The lock file stays when the lock is released, because removing it would let
two processes lock two files of one name.

Network file systems are refused: their locks lie or linger, and SQLite's shared memory does not work across hosts.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.errors import StoreError

NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "fuse.sshfs", "fuse.rclone", "fuse.s3fs"}
)


class StoreLock:
    """The exclusive claim to a store. Used by one thread; ``held`` may be read by any.

    A forked child of the holder does not hold the lock and does not keep it alive either.
    """

    def __init__(self, store_path: str | os.PathLike[str]) -> None:
        store = Path(store_path).resolve()
        self._path = store.with_name(store.name + ".lock")
        self._descriptor: int | None = None
        self._locked = False
        abandon_in_children(self)

    @property
    def held(self) -> bool:
        """Whether this process is the holder, now. False again when somebody removed or replaced the lock file."""
        return self._locked and self._is_current()

    def try_acquire(self) -> bool:
        """Does not wait. ``StoreError``: network file system, or the lock file cannot be made."""
        if self.held:
            return True
        self.release()
        try:
            self._refuse_network_file_system()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._descriptor = descriptor  # known before it is locked, so that a child forked now closes its copy
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._locked = True
            if self._is_current():
                _write_pid(descriptor)
                return True
        except BlockingIOError:
            pass  # another open file holds the lock
        except OSError as error:
            self.release()
            raise self._unusable(error) from error
        self.release()
        return False

    def release(self) -> None:
        """Lets another process take the lock. Idempotent. Stop the socket server first."""
        if self._descriptor is None:
            return
        if self._locked:
            self._locked = False
            with contextlib.suppress(OSError):  # a full disk: the number stays, and says nothing without the lock
                os.ftruncate(self._descriptor, 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = None

    def abandon(self) -> None:
        """In a forked child: close the copy, without unlocking what the parent holds."""
        self._locked = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_current(self) -> bool:
        """Whether the open file is still the one that others find under the name."""
        descriptor = self._descriptor
        if descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(self._path))
        except OSError:
            return False

    def _refuse_network_file_system(self) -> None:
        found = file_system_of(self._path.parent, _mounts())
        if found in NETWORK_FILE_SYSTEMS:
            raise StoreError(
                f"{self._path.parent} is on a network file system ({found})",
                code="network_filesystem",
                hint="Put the store on a local disk, or run 'mlmon hub' on one host and give the others its url.",
            )

    def _unusable(self, error: OSError) -> StoreError:
        return StoreError(
            f"the lock file {self._path} cannot be used: {os.strerror(error.errno or errno.EIO)}",
            code="lock_unusable",
            hint="The store's directory must exist and be writable by this user.",
        )


def file_system_of(directory: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """Type of the file system that holds the absolute, resolved ``directory``; "" where no mount fits.

    ``mounts``: (mount point, type) in the order they were mounted; the last of the deepest ones counts.

    >>> file_system_of(Path("/data/ml"), [("/", "ext4"), ("/data", "autofs"), ("/data", "nfs4")])
    'nfs4'
    """
    above = {str(path) for path in (directory, *directory.parents)}
    deepest, found = 0, ""
    for point, kind in mounts:
        if point in above and len(point) >= deepest:
            deepest, found = len(point), kind
    return found


def _write_pid(descriptor: int) -> None:
    """For people who look into the file; no program reads it."""
    with contextlib.suppress(OSError):  # a full disk does not keep a hub from starting
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _mounts() -> list[tuple[str, str]]:
    return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]
