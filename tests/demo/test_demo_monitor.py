"""The seam: settings that read back, a baseline file with its roles, and the calls to the status API."""

import csv
import tomllib
from datetime import datetime
from pathlib import Path

import httpx
import orjson
import pytest

from mlmon_sidecar.demo.data import FEATURES, load
from mlmon_sidecar.demo.model import LoanModel, held_out
from mlmon_sidecar.demo.monitor import Files, MonitorClient, build_command, write_reference, write_settings
from mlmon_sidecar.demo.schedule import DAY, Calendar
from mlmon_sidecar.errors import MlmonError

CALENDAR = Calendar.plan(1_780_000_000.123, 32)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    directory = tmp_path / 'with "quotes" and \\ and ü'
    directory.mkdir()
    return Files(directory)


def test_settings_read_back_as_written(files: Files) -> None:
    write_settings(files, CALENDAR)
    settings = tomllib.loads(files.settings.read_text("utf-8"))
    assert settings["store"] == f"sqlite:///{files.store}"
    assert (settings["clock_scale"], settings["clock_anchor"]) == (CALENDAR.scale, CALENDAR.anchor)
    model = settings["models"]["car_loans"]
    assert model["routes"] == ["POST /score"]
    assert model["baseline"] == str(files.baseline)
    assert settings["tokens"] == {"label": str(files.token), "read": str(files.token)}


def test_reference_holds_unseen_rows_with_times_scores_and_labels(files: Files) -> None:
    loans = load()
    model = LoanModel.train(loans)
    assert write_reference(files, CALENDAR, loans, model) == 8_160
    with files.reference.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == [row.id for row in held_out(loans)]
    assert set(rows[0]) == {"id", "timestamp", *FEATURES, "score", "outcome", "repaid"}
    times = [datetime.fromisoformat(row["timestamp"]).timestamp() for row in rows]
    assert times == sorted(times)
    assert times[-1] < CALENDAR.start
    assert times[-1] - times[0] >= 14 * DAY
    assert [float(row["score"]) for row in rows[:20]] == model.score(held_out(loans)[:20])
    assert all((row["outcome"] == "repaid") == (float(row["score"]) >= 0.5) for row in rows)
    assert {row["repaid"] for row in rows} == {"repaid", "defaulted"}


def test_build_command_names_every_role(files: Files) -> None:
    command = build_command(files)
    assert command[:3] == ["baseline", "build", str(files.reference)]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    assert options == {
        "--output": str(files.baseline), "--config": str(files.settings), "--timestamp": "timestamp", "--id": "id",
        "--prediction": "outcome", "--score": "score", "--label": "repaid",
    }  # fmt: skip


def client(files: Files, answer: httpx.Response, asked: list[httpx.Request]) -> MonitorClient:
    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    return MonitorClient(8123, files, httpx.MockTransport(handle))


def test_daily_figures(files: Files) -> None:
    asked: list[httpx.Request] = []
    body = {"name": "accuracy", "label": "", "t": [DAY * 1000, 2 * DAY * 1000], "v": [0.5, None]}
    assert client(files, httpx.Response(200, json=body), asked).daily("accuracy", DAY) == {DAY: 0.5, 2 * DAY: None}
    assert asked[0].url.path == "/mlmon/api/series"
    assert dict(asked[0].url.params) == {"model": "car_loans", "name": "accuracy", "label": "", "since": "86400000"}
    assert asked[0].headers["authorization"] == f"Bearer {files.token.read_text().strip()}"


def test_incidents_come_oldest_first(files: Files) -> None:
    body = {"incidents": [{"opened_ms": 5}, {"opened_ms": 3}]}
    found = client(files, httpx.Response(200, json=body), []).incidents()
    assert [incident["opened_ms"] for incident in found] == [3, 5]


def test_labels_name_the_class_and_their_time(files: Files) -> None:
    asked: list[httpx.Request] = []
    receipts = {"items": [{"id": "p1", "status": "accepted", "reason": ""}]}
    sent = client(files, httpx.Response(200, json=receipts), asked).send_labels([(90.0, "p1", 7)], {7: 0})
    assert sent == 1
    assert asked[0].url.path == "/mlmon/feedback"
    item = orjson.loads(asked[0].content)
    assert item == {"id": "p1", "label": "defaulted", "observed_at": "1970-01-01T00:01:30+00:00"}


def test_no_labels_no_request(files: Files) -> None:
    asked: list[httpx.Request] = []
    assert client(files, httpx.Response(500), asked).send_labels([], {}) == 0
    assert asked == []


def test_a_refusal_is_an_error_with_a_code(files: Files) -> None:
    with pytest.raises(MlmonError) as caught:
        client(files, httpx.Response(401), []).status()
    assert caught.value.code == "status_unavailable"


def test_the_token_is_ours_alone(files: Files) -> None:
    page = client(files, httpx.Response(200), []).page_url
    assert page == f"http://127.0.0.1:8123/mlmon/?token={files.token.read_text().strip()}"
    assert files.token.stat().st_mode & 0o777 == 0o600
