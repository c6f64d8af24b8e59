"""Send labels from wherever they become known: a nightly job, a back office, a notebook.

>>> from datetime import datetime, UTC
>>> from mlmon_sidecar.client import FeedbackClient, Label
>>> label = Label(id="tx-1", label="fraud", observed_at=datetime(2025, 3, 1, tzinfo=UTC))
>>> with FeedbackClient("https://mlmon.internal", token_file="/run/secrets/label") as client:  # doctest: +SKIP
...     receipt = client.send([label])
"""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
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
LONGEST_PAUSE_SECONDS = 60.0  # whatever the hub asks for
RETRIED = frozenset({429, 502, 503, 504})
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
        label: the true class as text or boolean, the true value or relevance as a number, several classes as a list
            of texts, "up" or "down" for a thumb.
        observed_at: when it became known, with a time zone; None: when it is sent.
        model: only needed where the same id names predictions of several models.
        source: where it comes from, such as "chargebacks": kept with the label, and watched by.
        weight: above 0; kept with the label.
    """

    id: str
    label: str | float | bool | Sequence[str]
    observed_at: datetime | None = None
    model: str = ""
    source: str = ""
    weight: float | None = None  # None: 1


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the labels of one ``send``. The counts add up to ``len(items)``."""

    accepted: int
    duplicate: int
    corrected: int
    pending: int  # kept until the prediction arrives
    ambiguous: int  # the id names several predictions
    expired: int  # later than labels of the model count
    quarantined: int  # kept, not counted: the source says something strange
    invalid: int
    items: tuple[LabelReceipt, ...]  # in the order sent


class FeedbackClient:
    """Sends labels in batches and tries again on its own: sending a label twice counts it once.

    ``url`` is the hub's address, or the application's with its prefix ("http://app:8000/mlmon"). A ``token_file`` is
    read at each ``send``, so that a rotated token is picked up. With a ``signing_key_file`` requests are signed, as a
    hub with ``feedback.signing_key_file`` asks for.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        token_file: str | Path | None = None,
        timeout: float = 10,  # seconds, of one request
        signing_key_file: str | Path | None = None,
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
        self._signing_key_file = signing_key_file
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
        headers = {"authorization": f"Bearer {self._token_text()}", "content-type": "application/x-ndjson"}
        items: list[LabelReceipt] = []
        for batch in _batches(labels, LABELS_A_REQUEST):
            # Encoded once: a label without a time keeps the same one through every attempt.
            body = b"\n".join([_line(label, self._now()) for label in batch])
            # A repetition under the same key gets the first answer, and cannot undo a correction made meanwhile.
            keyed = headers | {"idempotency-key": str(uuid.uuid4())}
            items += _receipts(self._post(body, keyed), len(batch))
        counts = {str(status): sum(item.status is status for item in items) for status in LabelStatus}
        return Receipt(**counts, items=tuple(items))

    def _token_text(self) -> str:
        return self._token or "" if self._token_file is None else _first_line(self._token_file)

    def _signed(self, body: bytes, headers: dict[str, str]) -> dict[str, str]:
        if self._signing_key_file is None:
            return headers
        at = int(self._now().timestamp() * 1000)
        signed = f"{at}.{headers['idempotency-key']}.".encode() + body
        digest = hmac.new(_first_line(self._signing_key_file).encode(), signed, hashlib.sha256).hexdigest()
        return headers | {"x-mlmon-signature": f"t={at},v1={digest}"}

    def _post(self, body: bytes, headers: dict[str, str]) -> bytes:
        failure, asked = "", 0.0
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(max(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1), asked))
            try:
                response = self._http.post(self._url, content=body, headers=self._signed(body, headers))
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
            failure, asked = f"status {response.status_code}", _pause(response)
        raise FeedbackError(
            f"{self._url} did not take the labels in {ATTEMPTS} attempts ({failure})",
            code="hub_unreachable",
            hint="Send the same labels again later; those already taken count once.",
        )


def _first_line(path: str | Path) -> str:
    try:
        return Path(path).read_text("utf-8").split()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise FeedbackError(
            f"No token or key can be read from {path} ({type(error).__name__})",
            code="token_file_unreadable",
            hint="Give a readable text file with it on its first line.",
        ) from error


def _pause(response: httpx.Response) -> float:
    """Seconds the hub asks to wait; 0 where it does not say."""
    text = response.headers.get("retry-after", "")
    return min(float(text), LONGEST_PAUSE_SECONDS) if text.isascii() and text.isdigit() else 0.0


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
    item: dict[str, Any] = {"id": label.id, "label": label.label, "observed_at": observed.astimezone(UTC).isoformat()}
    extra = (("model", label.model or None), ("source", label.source or None), ("weight", label.weight))
    item |= {key: value for key, value in extra if value is not None}
    try:
        return orjson.dumps(item, default=_scalar)
    except orjson.JSONEncodeError as error:
        raise FeedbackError(
            "A label cannot be written as JSON",
            code="label_form",
            hint="Give id as a string, and label as a string, number, boolean or list of strings.",
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
