"""Send labels from wherever they become known: a nightly job, a back office, a notebook.

>>> from datetime import datetime, UTC
>>> from mlmon_sidecar.client import FeedbackClient, Label
>>> label = Label(id="tx-1", label="fraud", observed_at=datetime(2025, 3, 1, tzinfo=UTC))
>>> with FeedbackClient("https://mlmon.internal", token_file="/run/secrets/label") as client:  # doctest: +SKIP
...     receipt = client.send([label])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import orjson

from mlmon_sidecar.errors import FeedbackError
from mlmon_sidecar.records import LabelReceipt, LabelStatus

LABELS_A_REQUEST = 1_000
ATTEMPTS = 6  # of one request; with the pauses below, about 12 s of an unreachable hub
FIRST_PAUSE_SECONDS = 0.4  # doubled after each attempt
RETRIED = frozenset({502, 503, 504})
HINTS = {
    401: "Check the token; it needs the scope 'label'.",
    403: "Check the token's scope, and that the host name is among the allowed hosts of the web settings.",
    404: "Check the URL: the application's is '<application>/mlmon', and a token must be configured there.",
}


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be true for a prediction.

    Attributes:
        id: a prediction id (``x-mlmon-prediction-id``) or the caller's own id, 1 to 520 visible ASCII characters.
        label: the true class as text or boolean, or the true value as a number.
        observed_at: when it became known, with a time zone; None: when it is sent.
        model: only needed where the same id names predictions of several models.
        source: free text kept with the label, such as "chargebacks".
    """

    id: str
    label: str | float | bool
    observed_at: datetime | None = None
    model: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the labels of one ``send``. The counts add up to ``len(items)``."""

    accepted: int
    duplicate: int
    corrected: int
    pending: int  # kept until the prediction arrives
    invalid: int
    items: tuple[LabelReceipt, ...]  # in the order sent


class FeedbackClient:
    """Sends labels in batches and tries again on its own: sending a label twice counts it once.

    ``url`` is the hub's address, or the application's with its prefix ("http://app:8000/mlmon"). A ``token_file`` is
    read at each ``send``, so that a rotated token is picked up.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        token_file: str | Path | None = None,
        timeout: float = 10,  # seconds, of one request
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if (token is None) == (token_file is None):
            raise FeedbackError(
                "FeedbackClient needs a token",
                code="token_missing",
                hint="Give either token or token_file, with the scope 'label'.",
            )
        self._url = f"{url.rstrip('/')}/feedback"
        self._token = token
        self._token_file = token_file
        self._sleep = sleep
        self._now = now
        self._http = httpx.Client(timeout=timeout, transport=transport)

    def __enter__(self) -> FeedbackClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def send(self, labels: Iterable[Label]) -> Receipt:
        """Send ``labels``, 1,000 a request, and return once all are committed durably or found invalid.

        Raises ``FeedbackError`` when a request is refused or the hub stays away. Labels of earlier requests are
        committed then; sending all of them again is safe.
        """
        headers = {"authorization": f"Bearer {self._read_token()}", "content-type": "application/x-ndjson"}
        items: list[LabelReceipt] = []
        for batch in _batches(labels, LABELS_A_REQUEST):
            # Encoded once: a label without a time keeps the same one through every attempt.
            body = b"\n".join([_line(label, self._now()) for label in batch])
            items += _receipts(self._post(body, headers), len(batch))
        counts = {str(status): sum(item.status is status for item in items) for status in LabelStatus}
        return Receipt(**counts, items=tuple(items))

    def _read_token(self) -> str:
        if self._token_file is None:
            return self._token or ""
        try:
            return Path(self._token_file).read_text("utf-8").split()[0]
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise FeedbackError(
                f"No token can be read from {self._token_file} ({type(error).__name__})",
                code="token_file_unreadable",
                hint="Give a readable text file with the token on its first line.",
            ) from error

    def _post(self, body: bytes, headers: dict[str, str]) -> bytes:
        failure = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                response = self._http.post(self._url, content=body, headers=headers)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise FeedbackError(
                    "The URL of the feedback endpoint cannot be used", code="url_form", hint="Give http:// or https://."
                ) from error
            except httpx.TransportError as error:
                failure = type(error).__name__
                continue
            if response.status_code == 200:
                return response.content
            if response.status_code not in RETRIED:
                raise _refused(response)
            failure = f"status {response.status_code}"
        raise FeedbackError(
            f"{self._url} did not take the labels in {ATTEMPTS} attempts ({failure})",
            code="hub_unreachable",
            hint="Send the same labels again later; those already taken count once.",
        )


def _batches(labels: Iterable[Label], size: int) -> Iterator[list[Label]]:
    source = iter(labels)
    while batch := list(islice(source, size)):
        yield batch


def _line(label: Label, now: datetime) -> bytes:
    observed = label.observed_at or now
    if observed.tzinfo is None:
        raise FeedbackError(
            "observed_at has no time zone",
            code="naive_time",
            hint="Give an aware datetime, such as datetime.now(timezone.utc).",
        )
    item = {"id": label.id, "label": label.label, "observed_at": observed.astimezone(UTC).isoformat()}
    item |= {key: text for key, text in (("model", label.model), ("source", label.source)) if text}
    try:
        return orjson.dumps(item, default=_scalar)
    except orjson.JSONEncodeError as error:
        raise FeedbackError(
            "A label cannot be written as JSON",
            code="label_form",
            hint="Give id as a string, and label as a string, number or boolean.",
        ) from error


def _scalar(value: Any) -> Any:
    """The plain Python scalar inside one of numpy's or pandas'."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError


def _receipts(content: bytes, expected: int) -> list[LabelReceipt]:
    try:
        items = orjson.loads(content)["items"]
        receipts = [LabelReceipt(item["id"], LabelStatus(item["status"]), item["reason"]) for item in items]
    except (ValueError, KeyError, TypeError) as error:
        raise _not_ours() from error
    if len(receipts) != expected:
        raise _not_ours()
    return receipts


def _not_ours() -> FeedbackError:
    return FeedbackError(
        "The answer is not one of a feedback endpoint", code="answer_form", hint="Check the URL and its prefix."
    )


def _refused(response: httpx.Response) -> FeedbackError:
    status = response.status_code
    try:
        answer = orjson.loads(response.content)
        code, hint = str(answer["code"]), str(answer["hint"])
    except (ValueError, KeyError, TypeError):
        code, hint = f"http_{status}", ""
    return FeedbackError(
        f"The labels were refused with status {status}", code=code, hint=hint or HINTS.get(status, "Check the URL.")
    )
