"""What the recording scripts share: start a server, send it requests, keep every byte of both directions.

A case becomes ``tests/decode/fixtures/<protocol>/<case>.json``; a body that is not text lies beside it as ``.bin``.
The expected columns, ``<case>.expected.json``, are written by hand and never by these scripts.
Needs nothing but the standard library, so that it runs in any server's own environment.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

FIXTURES = Path(__file__).parents[2] / "tests" / "decode" / "fixtures"
NOT_RECORDED = frozenset({"host", "connection", "accept-encoding", "date", "server", "user-agent", "x-request-id"})
"""Headers that say something about the recording, not about the protocol."""
READY_SECONDS = 120.0

Body = bytes | str | dict | list
JSON = {"Content-Type": "application/json"}


@contextmanager
def server(arguments: Sequence[str], ready: str, **environment: str) -> Iterator[Recorder]:
    """Run a server on a free port of 127.0.0.1 (``{port}`` in the arguments) until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [part.replace("{port}", str(port)) for part in arguments],
        env={**os.environ, **{name: value.replace("{port}", str(port)) for name, value in environment.items()}},
        cwd=Path(__file__).parent,
        start_new_session=True,
    )
    try:
        recorder = Recorder(port)
        recorder.wait_until_ready(ready, process)
        yield recorder
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


class Recorder:
    """Sends one request at a time and writes what went over the wire."""

    def __init__(self, port: int) -> None:
        self._port = port

    def wait_until_ready(self, path: str, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self._send("GET", path, {}, b"")[0] < 500:
                    return
            except OSError:
                pass
            time.sleep(0.5)
        raise SystemExit("the server did not become ready")

    def record(
        self,
        protocol: str,
        case: str,
        path: str,
        body: Body,
        headers: Mapping[str, str] = JSON,
        *,
        package: str,
        status: int = 200,
    ) -> bytes:
        """Send, check the status and write the pair. Returns the answer's body."""
        sent = (
            body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        )
        got_status, got_headers, got = self._send("POST", path, headers, sent)
        if got_status != status:
            raise SystemExit(f"{protocol}/{case}: {got_status} {got[:2000]!r}")
        folder = FIXTURES / protocol
        folder.mkdir(parents=True, exist_ok=True)
        pair = {
            "origin": {
                "server": package,
                "version": version(package),
                "python": sys.version.split()[0],
                "recorded": datetime.now(UTC).date().isoformat(),
                "by": f"scripts/record_fixtures/{Path(sys.argv[0]).name}",
            },
            "request": {
                "method": "POST",
                "path": path,
                "headers": [[name.lower(), value] for name, value in headers.items()],
                **_kept(folder, f"{case}.request.bin", sent),
            },
            "response": {
                "status": got_status,
                "headers": [[n.lower(), v] for n, v in got_headers if n.lower() not in NOT_RECORDED],
                **_kept(folder, f"{case}.response.bin", got),
            },
        }
        (folder / f"{case}.json").write_text(json.dumps(pair, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{protocol}/{case}: {got_status} {dict(got_headers).get('content-type')} {got[:300]!r}")
        return got

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def _kept(folder: Path, name: str, body: bytes) -> dict[str, str]:
    """A body as text where it is text, else the name of the file beside it."""
    try:
        return {"body": body.decode("utf-8")}
    except UnicodeDecodeError:
        (folder / name).write_bytes(body)
        return {"body_file": name}


def multipart(fields: Sequence[tuple[str, str | None, str | None, bytes]], boundary: str) -> bytes:
    """``multipart/form-data`` (RFC 7578) of (name, file name, media type, content)."""
    parts = []
    for name, filename, media_type, content in fields:
        disposition = f'Content-Disposition: form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
        lines = [f"--{boundary}", disposition, *([f"Content-Type: {media_type}"] if media_type else []), "", ""]
        parts.append("\r\n".join(lines).encode() + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()
