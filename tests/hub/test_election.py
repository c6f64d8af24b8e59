"""One holder at a time, whatever becomes of processes, descriptors and files."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub.election import NETWORK_FILE_SYSTEMS, StoreLock, file_system_of

PATIENCE = 30

HOLDER = """
import sys
from mlmon_sidecar.hub.election import StoreLock
lock = StoreLock(sys.argv[1])
print(lock.try_acquire(), flush=True)
sys.stdin.read()
"""
PARENT = """
import os, subprocess, sys
from mlmon_sidecar.hub.election import StoreLock
lock = StoreLock(sys.argv[1])
assert lock.try_acquire()
if sys.argv[2] == "fork":
    child = os.fork()
    if child == 0:
        assert not lock.held
        assert not lock.try_acquire()
        lock.release()
        print(os.getpid(), flush=True)
        sys.stdin.read()
        os._exit(0)
else:
    print(subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], close_fds=False).pid, flush=True)
assert lock.held
sys.stdin.read()
"""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "mlmon.db"


def test_one_holder_in_a_process(store: Path) -> None:
    first, second = StoreLock(store), StoreLock(store)
    assert not first.held
    assert first.try_acquire()
    assert first.try_acquire()
    assert first.held
    assert not second.try_acquire()
    assert not second.held
    first.release()
    first.release()
    assert not first.held
    assert second.try_acquire()
    second.release()


def test_the_file_is_private_and_names_the_holder(store: Path) -> None:
    file = store.with_name("mlmon.db.lock")
    file.touch(mode=0o644)
    lock = StoreLock(store)
    assert lock.try_acquire()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{os.getpid()}\n"
    assert not StoreLock(store).try_acquire()
    assert file.read_text() == f"{os.getpid()}\n"
    lock.release()
    assert file.read_text() == ""


def test_another_process_takes_over_after_kill_9(store: Path) -> None:
    holder = start(HOLDER, store)
    assert first_line(holder) == "True"
    lock = StoreLock(store)
    assert not lock.try_acquire()
    refused = start(HOLDER, store)
    assert first_line(refused) == "False"
    refused.communicate(timeout=PATIENCE)
    holder.send_signal(signal.SIGKILL)
    holder.communicate(timeout=PATIENCE)
    successor = start(HOLDER, store)
    assert first_line(successor) == "True"
    assert not lock.try_acquire()
    successor.communicate(timeout=PATIENCE)
    assert lock.try_acquire()
    lock.release()


@pytest.mark.parametrize("how", ["fork", "exec"])
def test_a_child_does_not_keep_the_lock_of_a_killed_parent(store: Path, how: str) -> None:
    parent = start(PARENT, store, how)
    child = int(first_line(parent))
    lock = StoreLock(store)
    assert not lock.try_acquire()  # what the child did to its copy took nothing from the parent
    parent.kill()
    parent.wait(PATIENCE)
    assert psutil.Process(child).status() != psutil.STATUS_ZOMBIE
    assert lock.try_acquire()
    lock.release()
    parent.communicate(timeout=PATIENCE)  # ends the child's standard input, and so the child


def test_a_removed_lock_file_ends_the_hold(store: Path) -> None:
    first, second = StoreLock(store), StoreLock(store)
    assert first.try_acquire()
    store.with_name("mlmon.db.lock").unlink()
    assert not first.held
    assert second.try_acquire()
    assert not first.try_acquire()
    assert second.held
    second.release()
    assert first.try_acquire()
    first.release()


def test_a_lock_file_removed_while_it_is_being_locked_is_no_claim(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, real = StoreLock(store), fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        store.with_name("mlmon.db.lock").unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert not lock.try_acquire()
    assert lock.try_acquire()
    lock.release()


def test_a_relative_path_means_the_same_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store.parent)
    lock = StoreLock("mlmon.db")
    monkeypatch.chdir("/")
    assert lock.try_acquire()
    assert not StoreLock(store).try_acquire()
    lock.release()


def test_a_lock_file_that_cannot_be_made_is_an_error_with_a_hint(store: Path, tmp_path: Path) -> None:
    store.with_name("mlmon.db.lock").symlink_to(tmp_path / "elsewhere")
    for path in (store, tmp_path / "missing" / "mlmon.db"):
        with pytest.raises(StoreError) as unusable:
            StoreLock(path).try_acquire()
        assert unusable.value.code == "lock_unusable"
        assert "writable" in unusable.value.hint
    assert not (tmp_path / "elsewhere").exists()


Partition = namedtuple("Partition", "device mountpoint fstype opts")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system_is_refused(store: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    mounts = [Partition("root", "/", "ext4", ""), Partition("server:/x", str(store.parent.resolve()), kind, "")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    with pytest.raises(StoreError) as refused:
        StoreLock(store).try_acquire()
    assert refused.value.code == "network_filesystem"
    assert "local disk" in refused.value.hint
    assert not store.with_name("mlmon.db.lock").exists()


def test_the_deepest_and_last_mount_counts() -> None:
    mounts = [("/", "ext4"), ("/data", "autofs"), ("/data", "nfs"), ("/data/local", "xfs"), ("/dat", "cifs")]
    assert file_system_of(Path("/data"), mounts) == "nfs"
    assert file_system_of(Path("/data/deep/er"), mounts) == "nfs"
    assert file_system_of(Path("/data/local/x"), mounts) == "xfs"
    assert file_system_of(Path("/database"), mounts) == "ext4"
    assert file_system_of(Path("/database"), []) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/self/mountinfo exists on Linux only")
def test_the_file_system_here_is_the_one_the_kernel_names(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    kernel = {fields[fields.index("-") + 1] for fields in lines if fields[2] == number}
    mounts = [(item.mountpoint, item.fstype) for item in psutil.disk_partitions(all=True)]
    assert file_system_of(tmp_path.resolve(), mounts) in kernel
    assert not kernel & NETWORK_FILE_SYSTEMS
