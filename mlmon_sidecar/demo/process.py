"""The demo's server as its own process: uvicorn, as anyone would run it."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess  # Starts uvicorn.
import sys
import time
from pathlib import Path
from types import TracebackType

from mlmon_sidecar.errors import MissingExtra, MlmonError

HOST = "127.0.0.1"
APPLICATION = "mlmon_sidecar.demo.server:app"
READY_SECONDS = 40.0  # imports and training take 3 to 8
STOP_SECONDS = 10.0  # the monitor's own deadline at shutdown is 5
BEAT_SECONDS = 0.05


def choose_port(wanted: int | None) -> int:
    """``wanted`` if nobody listens there, any free one for None. Raises ``MlmonError`` (``port_in_use``)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does: a closed port is free at once
        try:
            probe.bind((HOST, wanted or 0))
        except OSError as error:
            raise MlmonError(
                f"port {wanted} on {HOST} cannot be used ({error.strerror})",
                code="port_in_use",
                hint="Give another one with --port, or none to take any that is free.",
            ) from error
        port: int = probe.getsockname()[1]
        return port


class Server:
    """Runs while the context is open; ended by SIGTERM, as an orchestrator would."""

    def __init__(self, port: int, settings: Path, log: Path) -> None:
        self.port = port
        self._settings = settings
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            import fastapi  # noqa: F401 - asked for here so that its absence is told in one sentence
            import uvicorn  # noqa: F401 - as above
        except ImportError as error:
            raise MissingExtra("demo", "the demo's server") from error
        command = [sys.executable, "-m", "uvicorn", APPLICATION, "--host", HOST, "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command, no shell
                [*command, "--no-access-log", "--log-level", "info"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"MLMON_CONFIG": str(self._settings)},
                start_new_session=True,  # Ctrl-C is ours: the server ends after the last thing was read from it
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_ready(self) -> None:
        """Return when the application answers. Raises ``MlmonError`` when it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise self._failed("ended before it was ready")
            if time.monotonic() > deadline:
                raise self._failed(f"was not ready after {READY_SECONDS:.0f} s")
            time.sleep(BEAT_SECONDS)

    def stop(self) -> int | None:
        """End it and return its exit code; None when it was never started."""
        if self._process is None:
            return None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        return self._process.returncode

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1.0)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _failed(self, what: str) -> MlmonError:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        hint = f"Its last line was: {lines[-1]}" if lines else "It wrote nothing."
        return MlmonError(f"the demo's server {what}", code="demo_server_failed", hint=hint)
