"""Real servers for the tests of this folder, and what they are asked."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import apsw
import httpx

HERE = Path(__file__).parent
ID = "x-mlmon-prediction-id"
SOON_SECONDS = 40.0  # of a machine that may be busy with other things
TOKEN = "a-token-for-these-tests-alone"

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], wanted: Callable[[Found], object] = bool) -> Found:
    """What ``look`` finds, once it is as wanted."""
    deadline = time.monotonic() + SOON_SECONDS
    while True:
        found = look()
        if wanted(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r}"
        time.sleep(0.02)


def environment(**more: str) -> dict[str, str]:
    """Ours, without settings that are set here, and with import paths that hold in any directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLMON_", "OTEL_"))}
    given = os.environ.get("PYTHONPATH")
    if given:
        kept["PYTHONPATH"] = os.pathsep.join(str(Path(part).resolve()) for part in given.split(os.pathsep))
    return kept | more


def mlmon(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
    )


class Served:
    """One uvicorn process in ``folder``, which holds its ``mlmon.toml``."""

    def __init__(self, folder: Path, application: str, *options: str, **environ: str) -> None:
        self.folder = folder
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / f"server-{self.port}.log"
        factory = application if ":" in application else f"served_apps:{application}"
        command = [sys.executable, "-m", "uvicorn", "--factory", factory]
        command += ["--app-dir", str(HERE), "--port", str(self.port), "--no-access-log"]
        command += ["--no-date-header", "--no-server-header", *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(**environ), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.client = httpx.Client(base_url=self.url, timeout=30)

    @property
    def told(self) -> str:
        """Everything it wrote so far."""
        return self._log.read_text("utf-8", "replace")

    @property
    def complaints(self) -> list[str]:
        """Lines of its log that are ours."""
        return [line for line in self.told.splitlines() if line.startswith("mlmon")]

    def wait_ready(self) -> None:
        """Ask for the health path only: it is no prediction."""

        def answers() -> bool:
            assert self.process.poll() is None, self.told
            try:
                return self.client.get("/health").status_code == 200
            except httpx.TransportError:
                return False

        eventually(answers)

    def score(self, path: str = "/score", **row: object) -> httpx.Response:
        response = self.client.post(path, json={"income": 50_000, "loan": 9_000} | row)
        assert response.status_code == 200
        return response

    def status(self) -> dict[str, Any]:
        """The status API's answer, once a hub is there to give it."""
        headers = {"authorization": f"Bearer {TOKEN}"}
        ask = lambda: self.client.get("/mlmon/api/status", headers=headers)  # noqa: E731  # asked again each time
        found: dict[str, Any] = eventually(ask, lambda answer: answer.status_code == 200).json()
        return found

    def counted(self, requests: int) -> dict[str, Any]:
        """The counters, once so many requests are in them."""
        return eventually(
            lambda: self.status()["counters"],
            lambda c: c["requests"] == requests == c["captured"] + sum(c["dropped"].values()),
        )

    def terminate(self) -> int:
        """SIGTERM, as an orchestrator sends it; the seconds it may take include the monitor's own five."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(SOON_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


@contextmanager
def serving(folder: Path, application: str = "monitored", *options: str, **environ: str) -> Iterator[Served]:
    served = Served(folder, application, *options, **environ)
    try:
        served.wait_ready()
        yield served
    finally:
        served.terminate()


def configure(
    folder: Path, text: str = "", *, models: str = "", head: str = "", store: str = "sqlite:///mlmon.db"
) -> Path:
    """Write ``mlmon.toml``: quick flushes, one token for everything, one model as ``served_apps`` answers."""
    (folder / "token").write_text(TOKEN + "\n")
    path = folder / "mlmon.toml"
    path.write_text(
        f"""
store = "{store}"
flush_interval_seconds = 0.1
{head}
[tokens]
label = "{folder}/token"
read = "{folder}/token"
[models.loans]
version = "v7"
{models}
[models.loans.prediction]
kind = "binary"
score = "response.score"
predicted = "response.prediction"
positive = "repaid"
{text}
"""
    )
    return path


def applicants(count: int, seed: int = 7) -> list[dict[str, float | str]]:
    chance = random.Random(seed)
    return [
        {
            "income": round(chance.lognormvariate(10.5, 0.4)),
            "loan": round(chance.uniform(1_000, 30_000)),
            "region": chance.choice(["north", "south", "west"]),
        }
        for _ in range(count)
    ]


def build_baseline(folder: Path, rows: Sequence[Mapping[str, float | str]], name: str = "loans.json") -> Path:
    """With the command line and the configuration that will serve; predictions as ``served_apps`` makes them."""
    data = folder / "healthy.csv"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["income", "loan", "region", "score", "prediction", "repaid"])
        for row in rows:
            income, loan = float(row["income"]), float(row["loan"])
            score = income / (income + 4 * loan)
            said = "repaid" if score >= 0.5 else "defaulted"
            writer.writerow([income, loan, row["region"], score, said, said])
    roles = ["--prediction", "prediction", "--score", "score", "--label", "repaid"]
    done = mlmon(folder, "baseline", "build", str(data), "--output", str(folder / name), *roles)
    assert done.returncode == 0, done.stderr
    return folder / name


def reading(folder: Path) -> apsw.Connection:
    """The store, through the library that writes it: a second copy of SQLite in one process, as the standard library's
    is, takes the other's locks away when it closes a file. https://www.sqlite.org/howtocorrupt.html, 2.2.1"""
    connection = apsw.Connection(f"{folder}/mlmon.db", flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(10_000)
    return connection


def stored(folder: Path, what: str = "prediction_id") -> list[Any]:
    """Columns of the stored predictions, oldest first; read while the hub writes or not."""
    with closing(reading(folder)) as connection:
        rows = connection.execute(f"SELECT {what} FROM predictions ORDER BY event_ns, prediction_id").fetchall()
    return [row[0] if len(row) == 1 else row for row in rows]


def counters(folder: Path) -> dict[str, int]:
    with closing(reading(folder)) as connection:
        return dict(connection.execute("SELECT name, value FROM counters").fetchall())


def as_json(text: str) -> Any:
    return json.loads(text)
