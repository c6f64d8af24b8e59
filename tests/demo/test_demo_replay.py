"""The replay against a real HTTP server on this machine: every row once, on time, over few connections."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlmon_sidecar.demo.data import Row
from mlmon_sidecar.demo.replay import CONNECTIONS, Answered, Replay, set_fault
from mlmon_sidecar.demo.schedule import Calendar
from mlmon_sidecar.errors import MlmonError

ROWS = tuple(Row(number, {"car_value": float(number), "salary_range": None}) for number in range(200))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Recording"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.requests.append((self.path, body))
        self.send_response(self.server.status)
        if self.server.monitored:
            self.send_header("X-Mlmon-Prediction-Id", f"id-{body.get('application_id')}")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class Recording(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, object]]] = []
        self.connections = 0
        self.status = 200
        self.monitored = True
        self.lock = threading.Lock()


@pytest.fixture
def server() -> Iterator[Recording]:
    with Recording() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def past() -> Calendar:
    """A calendar on which every moment of days 0 to 9 lies behind us: nothing is waited for."""
    return Calendar.plan(time.time() - 3600, 30)


def play(server: Recording, calendar: Calendar, moments: list[float]) -> list[Answered]:
    answers: list[Answered] = []
    Replay(server.server_port, calendar, answers.append).play(ROWS, moments)
    return answers


def test_every_row_is_sent_once_with_its_values(server: Recording) -> None:
    answers = play(server, past(), [0.0] * len(ROWS))
    assert {answer.row_id: answer.prediction_id for answer in answers} == {row.id: f"id-{row.id}" for row in ROWS}
    sent = sorted((body for _, body in server.requests), key=lambda body: str(body["application_id"]))
    expected = [{"application_id": row.id, "car_value": float(row.id), "salary_range": None} for row in ROWS]
    assert sent == sorted(expected, key=lambda body: str(body["application_id"]))
    assert {path for path, _ in server.requests} == {"/score"}
    assert server.connections == CONNECTIONS


def test_rows_go_out_at_their_time(server: Recording) -> None:
    calendar = Calendar.plan(time.time(), 30)
    moments = [calendar.midnight(0) + 30 * number for number in range(len(ROWS))]  # 6,000 scaled s: 0.17 s
    answers = play(server, calendar, moments)
    # Never early (but for the millisecond a thread may wake up too soon); how late is the machine's affair.
    assert all(answer.sent >= moments[answer.row_id] - 0.001 * calendar.scale for answer in answers)


@pytest.mark.parametrize("spoil", [{"status": 500}, {"monitored": False}])
def test_an_answer_that_is_not_as_agreed_ends_the_replay(server: Recording, spoil: dict[str, object]) -> None:
    for name, value in spoil.items():
        setattr(server, name, value)
    with pytest.raises(MlmonError) as caught:
        play(server, past(), [0.0] * len(ROWS))
    assert caught.value.code == "demo_server_failed"


def test_a_failure_ends_the_waiting_of_the_other_lanes(server: Recording) -> None:
    server.status = 500
    calendar = Calendar.plan(time.time(), 30)
    far = calendar.midnight(1_000_000)  # a month of real time
    with pytest.raises(MlmonError):
        play(server, calendar, [0.0, *[far] * (len(ROWS) - 1)])


def test_no_server_at_all() -> None:
    with pytest.raises(MlmonError) as caught:
        Replay(1, past(), lambda answer: None).play(ROWS[:1], [0.0])
    assert caught.value.code == "demo_server_failed"


def test_fault(server: Recording) -> None:
    set_fault(server.server_port, 0.25)
    set_fault(server.server_port, None)
    assert server.requests == [("/demo/fault", {"stuck_at": 0.25}), ("/demo/fault", {"stuck_at": None})]
