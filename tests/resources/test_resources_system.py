"""The host's memory, as the kernel tells it; in the hub's process and in no serving one."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from mlmon_sidecar.resources.system import SystemMemorySource

SOON_SECONDS = 60.0


def kernel() -> dict[str, int]:
    """Bytes by the names of /proc/meminfo."""
    lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    return {parts[0].rstrip(":"): int(parts[1]) * 1024 for parts in lines if parts[-1] == "kB"}


def test_the_states_are_the_kernel_s_and_add_up() -> None:
    found = {(m.name, *(value for _, value in m.attributes)): m.value for m in SystemMemorySource()()}
    told = kernel()
    assert found["system.memory.limit",] == told["MemTotal"]
    assert found["system.memory.usage", "free"] == pytest.approx(told["MemFree"], rel=0.2)
    states = ("used", "free", "cached", "buffers")
    assert sum(found["system.memory.usage", state] for state in states) == told["MemTotal"]
    assert sum(found["system.memory.utilization", state] for state in states) == pytest.approx(1.0)


def test_the_hub_s_process_tells_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "token").write_text("t" * 40)
    (tmp_path / "token").chmod(0o600)
    config = tmp_path / "mlmon.toml"
    config.write_text(
        f'store = "sqlite:///{tmp_path}/mlmon.db"\ntokens = {{read = "{tmp_path}/token"}}\n'
        "export = {prometheus = true}\n[models.m]\n"
    )
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "hub", "--config", str(config)]
    hub = subprocess.Popen([*command, "--listen", f"127.0.0.1:{port}"], cwd=tmp_path)
    try:
        text, until = "", time.monotonic() + SOON_SECONDS
        while "system_memory" not in text:
            assert hub.poll() is None and time.monotonic() < until
            try:
                headers = {"authorization": "Bearer " + "t" * 40}
                text = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers).text
            except httpx.TransportError:
                time.sleep(0.05)
    finally:
        hub.terminate()
        hub.wait(30)
    assert f"system_memory_limit_bytes {kernel()['MemTotal']}" in text
    assert 'system_memory_utilization_ratio{system_memory_state="used"} 0.' in text
