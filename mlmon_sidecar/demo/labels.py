"""Outcomes come late: what was predicted waits here until its outcome is known, then goes out in bulk."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlmon_sidecar.demo.replay import Answered
from mlmon_sidecar.demo.schedule import label_due


class KnownOutcome(NamedTuple):
    known_since: float  # scaled Unix seconds
    prediction_id: str
    row_id: int


class LabelDesk:
    """Collects answers from any thread and sends their outcomes from one."""

    def __init__(self, send: Callable[[Sequence[KnownOutcome]], int], clock: Callable[[], float]) -> None:
        self._send = send  # returns how many it sent
        self._clock = clock  # scaled Unix seconds
        self._lock = threading.Lock()
        self._waiting: list[KnownOutcome] = []  # heap
        self._asked = 0
        self._last_sent = 0.0
        self._sent = 0

    def answered(self, answer: Answered) -> None:
        """The replay got an answer; its outcome will be known some time later."""
        due = KnownOutcome(label_due(answer.row_id, answer.sent), answer.prediction_id, answer.row_id)
        with self._lock:
            self._asked += 1
            self._last_sent = max(self._last_sent, answer.sent)
            heapq.heappush(self._waiting, due)

    def send_known(self) -> None:
        """Send what is known by now. What cannot be sent waits on; the sender's error is passed on."""
        known = self._take(self._clock())
        try:
            sent = self._send(known)
        except BaseException:
            self._put_back(known)
            raise
        with self._lock:
            self._sent += sent

    @property
    def requests(self) -> int:
        """Answers so far."""
        with self._lock:
            return self._asked

    @property
    def last_sent(self) -> float:
        """Scaled Unix seconds at which the latest answered row was sent; 0 before any."""
        with self._lock:
            return self._last_sent

    @property
    def all_sent(self) -> bool:
        with self._lock:
            return self._sent == self._asked

    def _take(self, now: float) -> list[KnownOutcome]:
        known = []
        with self._lock:
            while self._waiting and self._waiting[0].known_since <= now:
                known.append(heapq.heappop(self._waiting))
        return known

    def _put_back(self, known: Sequence[KnownOutcome]) -> None:
        with self._lock:
            for outcome in known:
                heapq.heappush(self._waiting, outcome)
