"""Exporters say only that an export failed. This remembers why, and when the collector wants to be asked again."""

from __future__ import annotations

import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

import requests


class Witness:
    """What was seen of the last attempt of one export."""

    __slots__ = ("error_type", "retry_after_seconds")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.error_type = ""  # an exception's class, an HTTP or gRPC status; "" after a success
        self.retry_after_seconds = 0.0  # 0: the collector did not say


class WatchedSession(requests.Session):
    """The HTTP session of one exporter."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self._witness = witness

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._witness.clear()
        try:
            response = super().request(*args, **kwargs)
        except Exception as error:
            self._witness.error_type = type(error).__name__
            raise
        if response.status_code >= 400:
            self._witness.error_type = str(response.status_code)
            self._witness.retry_after_seconds = seconds_of(response.headers.get("retry-after", ""), time.time())
        return response


def seconds_of(retry_after: str, now: float) -> float:
    """``Retry-After`` as seconds from ``now`` (Unix time), 0 where it says nothing: RFC 9110 10.2.3.

    >>> seconds_of("120", 0.0), seconds_of("Thu, 01 Jan 1970 00:01:00 GMT", 10.0), seconds_of("soon", 0.0)
    (120.0, 50.0, 0.0)
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except (ValueError, TypeError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0
