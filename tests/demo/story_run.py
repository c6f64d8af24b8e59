"""One run of the story, as a user starts it, scraped by a real Prometheus meanwhile."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

KILL_AFTER_SECONDS = 300.0  # a machine with other work to do
READY_SECONDS = 60.0
SETTINGS = """\
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: demo
    metrics_path: /mlmon/metrics
    authorization: {{credentials_file: {token}}}
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass(frozen=True)
class Told:
    """What one run said and left behind."""

    summary: dict[str, Any]
    narration: str
    directory: Path
    begun: float  # Unix seconds
    ended: float

    def alerts(self, period: str) -> list[dict[str, Any]]:
        return [alert for alert in self.summary["alerts"] if alert["period"] == period]


class Prometheus:
    """Debian's, in a folder of its own."""

    def __init__(self, folder: Path, port: int, token: Path) -> None:
        folder.mkdir()
        (folder / "prometheus.yml").write_text(SETTINGS.format(port=port, token=token))
        own = free_port()
        self.url = f"http://127.0.0.1:{own}"
        command = [
            shutil.which("prometheus") or "prometheus", f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{own}", "--log.level=error",
        ]  # fmt: skip
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        end = time.monotonic() + READY_SECONDS
        while not self._ready():
            assert self._process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).is_success
        except httpx.TransportError:
            return False

    def series(self, expr: str, told: Told) -> list[dict[str, Any]]:
        """What a panel with this query would draw of the run. Raises for a query Prometheus does not understand."""
        params: dict[str, Any] = {"query": expr, "start": told.begun, "end": told.ended, "step": 2}
        answer = httpx.get(f"{self.url}/api/v1/query_range", params=params, timeout=30).json()
        assert answer["status"] == "success", (expr, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run_story(directory: Path, port: int, environ: dict[str, str]) -> Told:
    begun = time.time()
    options = ["--once", "--json", "--keep", str(directory), "--port", str(port)]
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "demo", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=KILL_AFTER_SECONDS, check=False, env=environ)
    sys.stdout.write(done.stdout + done.stderr)  # pytest shows it beside a failure
    assert done.returncode == 0, done.stderr
    return Told(json.loads(done.stdout), done.stderr, directory, begun, time.time())
