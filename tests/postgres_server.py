"""A real PostgreSQL of the tests' own: a folder, a socket in it, and nothing on the network."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

READY_SECONDS = 60.0
ACCOUNT = "nobody"  # the server refuses to run as root


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, the newest; None where they are not installed."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return next((folder for folder in found if (folder / "postgres").exists()), None)


class Server:
    """Started at once; ``kill`` and ``start`` again as a failing database would."""

    def __init__(self, *, durable: bool = False) -> None:
        folder = programs()
        assert folder is not None, "PostgreSQL is not installed"
        self._programs = folder
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))  # a socket's path has to be short
        self._account = pwd.getpwnam(ACCOUNT) if os.geteuid() == 0 else None
        if self._account is not None:
            os.chown(self.folder, self._account.pw_uid, self._account.pw_gid)
            self.folder.chmod(0o755)
        self._settings = [] if durable else ["-c", "fsync=off", "-c", "synchronous_commit=off"]
        self._run("initdb", "-D", self.folder / "data", "-U", "mlmon", "--auth=trust", "-E", "UTF8", "--locale=C")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://mlmon@/postgres?host={self.folder}"

    def emptied(self) -> str:
        """The URL, of a database without a store's tables."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute("SET client_min_messages = warning; DROP SCHEMA IF EXISTS mlmon CASCADE")
        return self.url

    def start(self) -> None:
        command = [
            self._programs / "postgres", "-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=",
            "-c", "shared_buffers=128MB", "-c", "max_wal_size=2GB", *self._settings,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, **self._identity(), stderr=subprocess.DEVNULL)
        end = time.monotonic() + READY_SECONDS
        while self._run("pg_isready", "-q", "-h", self.folder, check=False) != 0:
            assert self._process.poll() is None and time.monotonic() < end, "the database did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """Immediate shutdown: no checkpoint, as after a crash."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(READY_SECONDS)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, program: str, *arguments: object, check: bool = True) -> int:
        command = [str(self._programs / program), *map(str, arguments)]
        return subprocess.run(command, **self._identity(), check=check, stdout=subprocess.DEVNULL).returncode

    def _identity(self) -> dict[str, object]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": [], "cwd": "/"}
