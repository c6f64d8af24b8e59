"""Rows as real HTTP requests at their scheduled times, over a few kept-alive connections."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import orjson

from mlmon_sidecar.demo.data import Row
from mlmon_sidecar.demo.schedule import Calendar
from mlmon_sidecar.errors import MlmonError

CONNECTIONS = 4  # an answer takes 2 to 5 ms; four in turn leave room for a slow one
TIMEOUT_SECONDS = 15.0
PREDICTION_ID = "x-mlmon-prediction-id"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A row that got its score."""

    row_id: int
    prediction_id: str
    sent: float  # scaled Unix seconds


class Replay:
    """Sends rows to a server on this machine. ``answers`` receives each answer, on the sending thread."""

    def __init__(
        self,
        port: int,
        calendar: Calendar,
        answers: Callable[[Answered], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._port = port
        self._calendar = calendar
        self._answers = answers
        self._clock = clock
        self._stop = threading.Event()

    def play(self, rows: Sequence[Row], moments: Sequence[float]) -> None:
        """Send ``rows[i]`` at scaled ``moments[i]``; returns after the last answer. Late rows go out at once.

        Raises ``MlmonError`` when the server does not answer as agreed.
        """
        timed = list(zip(moments, rows, strict=True))
        with ThreadPoolExecutor(CONNECTIONS, "mlmon-demo-replay") as pool:
            lanes = [pool.submit(self._lane, timed[offset::CONNECTIONS]) for offset in range(CONNECTIONS)]
            try:
                for lane in lanes:
                    lane.result()
            except BaseException:
                self._stop.set()  # The other lanes, and after Ctrl-C all of them, need not go on.
                raise

    def _lane(self, timed: Sequence[tuple[float, Row]]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            for moment, row in timed:
                if self._stop.wait(max(0.0, self._calendar.real(moment) - self._clock())):
                    return
                sent = self._calendar.scaled(self._clock())
                headers = _post(connection, "/score", {"application_id": row.id, **row.features})
                if PREDICTION_ID not in headers:
                    raise _unexpected("/score", "no prediction id in the answer")
                self._answers(Answered(row.id, headers[PREDICTION_ID], sent))
        finally:
            connection.close()


def set_fault(port: int, stuck_at: float | None) -> None:
    """Break the served model, or mend it with None. Raises ``MlmonError``."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        _post(connection, "/demo/fault", {"stuck_at": stuck_at})
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, path: str, body: Mapping[str, object]) -> Mapping[str, str]:
    """Post JSON and return the answer's headers, names in lower case."""
    try:
        connection.request("POST", path, orjson.dumps(body), JSON)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _unexpected(path, type(error).__name__) from error
    if response.status != http.client.OK:
        raise _unexpected(path, f"status {response.status}")
    return {name.lower(): value for name, value in response.getheaders()}


def _unexpected(path: str, what: str) -> MlmonError:
    return MlmonError(
        f"the demo's server did not answer {path} ({what})",
        code="demo_server_failed",
        hint="Run again with --keep DIR and read server.log there.",
    )
