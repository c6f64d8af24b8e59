"""The one module of the demo that knows the monitor: its settings, its commands, its status API, its feedback."""

from __future__ import annotations

import csv
import subprocess  # Runs this package's own command line.
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson

from mlmon_sidecar.client import FeedbackClient, Label
from mlmon_sidecar.demo.data import FEATURES, LABEL, Loans
from mlmon_sidecar.demo.model import POSITIVE, THRESHOLD, VERSION, LoanModel, held_out, label_text, outcome
from mlmon_sidecar.demo.schedule import Calendar, baseline_moments, utc
from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.hub.view import IncidentView, SeriesView, StatusView
from mlmon_sidecar.web.tokens import development_token

MODEL = "car_loans"
BUILD_TIMEOUT_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0
HUB_SECONDS = 20.0  # the hub is there a second or two after the server
BEAT_SECONDS = 0.1
SETTINGS = """\
store = {store}
clock_scale = {scale!r}
clock_anchor = {anchor!r}
flush_interval_seconds = 0.5

[models.{model}]
routes = ["POST /score"]
version = {version}
id = "request.application_id"
baseline = {baseline}

[models.{model}.prediction]
kind = "binary"
score = "response.score"
predicted = "response.outcome"
threshold = {threshold}
positive = {positive}

[tokens]
label = {token}
read = {token}

[export]
interval_seconds = 5.0
"""


@dataclass(frozen=True, slots=True)
class Files:
    """Where one run keeps its things."""

    directory: Path

    @property
    def settings(self) -> Path:
        return self.directory / "mlmon.toml"

    @property
    def store(self) -> Path:
        return self.directory / "mlmon.db"

    @property
    def token(self) -> Path:
        return self.directory / "token"

    @property
    def reference(self) -> Path:
        return self.directory / "reference.csv"

    @property
    def baseline(self) -> Path:
        return self.directory / "baseline.json"

    @property
    def server_log(self) -> Path:
        return self.directory / "server.log"


def write_settings(files: Files, calendar: Calendar) -> None:
    """Write mlmon.toml. Paths are absolute; ``directory`` must be."""
    text = SETTINGS.format(
        store=_quoted(f"sqlite:///{files.store}"), scale=calendar.scale, anchor=calendar.anchor, model=MODEL,
        version=_quoted(VERSION), baseline=_quoted(files.baseline), threshold=THRESHOLD, positive=_quoted(POSITIVE),
        token=_quoted(files.token),
    )  # fmt: skip
    files.settings.write_text(text, encoding="utf-8")


def _quoted(value: object) -> str:
    """A TOML basic string: for what JSON can escape the two agree."""
    return orjson.dumps(str(value)).decode()


def write_reference(files: Files, calendar: Calendar, loans: Loans, model: LoanModel) -> int:
    """Write the held-out rows with their scores and labels as ``baseline build`` takes them. Returns the rows."""
    rows = held_out(loans)
    with files.reference.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "timestamp", *FEATURES, "score", "outcome", LABEL))
        for row, score, moment in zip(rows, model.score(rows), baseline_moments(calendar, len(rows)), strict=True):
            cells = ["" if value is None else value for value in row.features.values()]
            label = label_text(loans.labels[row.id])
            writer.writerow((row.id, utc(moment).isoformat(), *cells, score, outcome(score), label))
    return len(rows)


def build_command(files: Files) -> list[str]:
    """The arguments of ``mlmon`` that turn the reference into a baseline."""
    roles = {"timestamp": "timestamp", "id": "id", "prediction": "outcome", "score": "score", "label": LABEL}
    options = [text for role, column in roles.items() for text in (f"--{role}", column)]
    paths = [str(files.reference), "--output", str(files.baseline), "--config", str(files.settings)]
    return ["baseline", "build", *paths, *options]


def build_baseline(files: Files) -> None:
    """Run the real command. Raises ``MlmonError`` with what it said."""
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", *build_command(files)]
    try:
        done = subprocess.run(  # noqa: S603 - our own command with our own paths, no shell
            command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise MlmonError("the baseline was not built in time", code="baseline_build_failed") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = lines[-1] if lines else f"exit code {done.returncode}"
        raise MlmonError("the baseline could not be built", code="baseline_build_failed", hint=said)


class MonitorClient:
    """Reads the status API and sends labels, as any user's program would."""

    def __init__(self, port: int, files: Files, transport: httpx.BaseTransport | None = None) -> None:
        base = f"http://127.0.0.1:{port}/mlmon"
        token = development_token(files.token)
        self.page_url = f"{base}/?token={token}"
        headers = {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=base, headers=headers, timeout=TIMEOUT_SECONDS, transport=transport)
        self._feedback = FeedbackClient(base, token=token, transport=transport)

    def close(self) -> None:
        self._http.close()
        self._feedback.close()

    def wait_for_hub(self) -> None:
        """The server answers before its hub does: that one starts in the background. Raises ``MlmonError``."""
        deadline = time.monotonic() + HUB_SECONDS
        while True:
            try:
                self.status()
                return
            except MlmonError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(BEAT_SECONDS)

    def status(self) -> StatusView:
        answer: StatusView = self._read("/api/status")
        return answer

    def incidents(self) -> list[IncidentView]:
        """Oldest first."""
        answer: list[IncidentView] = self._read("/api/incidents")["incidents"]
        return sorted(answer, key=lambda incident: incident["opened_ms"])

    def daily(self, name: str, since: float) -> Mapping[int, float | None]:
        """A figure kept per day, by the scaled Unix seconds of the day's beginning, from ``since`` on."""
        params = {"model": MODEL, "name": name, "label": "", "since": str(int(since * 1000))}
        answer: SeriesView = self._read("/api/series", params)
        return {t // 1000: v for t, v in zip(answer["t"], answer["v"], strict=True)}

    def send_labels(self, labels: Iterable[tuple[float, str, int]], outcomes: Mapping[int, int]) -> int:
        """Send (known since, prediction id, row id) with the rows' outcomes. Returns how many were sent."""
        items: Sequence[Label] = [
            Label(id=prediction_id, label=label_text(outcomes[row_id]), observed_at=utc(known))
            for known, prediction_id, row_id in labels
        ]
        if items:
            self._feedback.send(items)
        return len(items)

    def _read(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        try:
            response = self._http.get(path, params=params)
        except httpx.TransportError as error:
            raise MlmonError(f"{path} did not answer ({type(error).__name__})", code="status_unavailable") from error
        if response.status_code != httpx.codes.OK:
            raise MlmonError(f"{path} answered status {response.status_code}", code="status_unavailable")
        return orjson.loads(response.content)
