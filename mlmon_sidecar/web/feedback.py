"""Feedback to committed labels and an answer. Synchronous: runs on a worker thread, never on the event loop.

Items are committed in batches as they come in, each in one durable transaction. An item that cannot be used is answered
with its reason; the others are committed all the same. No answer repeats unchecked input.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass

import orjson

from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.records import Label, LabelReceipt, LabelStatus
from mlmon_sidecar.web.answers import Refusal
from mlmon_sidecar.web.feedback_bodies import MAX_ITEMS, BodyReader, Item
from mlmon_sidecar.web.feedback_items import InvalidItem, checked_id, read_item
from mlmon_sidecar.web.quota import WAIT_SECONDS, Quota

ITEMS_A_COMMIT = 5_000  # a JSON list may need two transactions; a recorder's flush waits for none longer than a second
ITEMS_A_SLICE = 64  # between two chances for the event loop to take the interpreter
REJECTS_TOLD = 1_000  # of a request with more than ``MAX_ITEMS`` items
KEY_DIGITS = 32  # of the request's key, and of the digest of what came with it
REJECTED = frozenset({LabelStatus.INVALID, LabelStatus.AMBIGUOUS, LabelStatus.EXPIRED, LabelStatus.QUARANTINED})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends, and under which key the request may come again.

    Attributes:
        name: tells one token from another, without being it.
        key: "" for none; else a text that is this caller's and this request's alone.
    """

    name: str
    key: str = ""


class Taker:
    """Takes one request in: ``feed`` what arrives, then ``finish``.

    Both pass on ``HubUnavailable``: what was committed before it stays so and is safe to send again, and nothing is
    acknowledged. Raise ``Refusal`` (400, 413, 429) for a request that cannot be used as a whole.
    """

    def __init__(self, reader: BodyReader, hub: HubClient, clock: Clock, caller: Caller, quota: Quota | None) -> None:
        self._reader = reader
        self._hub = hub
        self._now_ns = clock.unix_ns()
        self._caller = caller
        self._quota = quota
        self._batch: list[object] = []
        self._digest = hashlib.sha256()
        self._batches = 0
        self._refused = 0  # items over the quota
        self._answer = _Answer()

    def feed(self, data: bytes) -> None:
        for item in self._reader.feed(data):
            self._add(item)

    def finish(self) -> bytes:
        """The answer as JSON, once all is committed."""
        for item in self._reader.end():
            self._add(item)
        self._commit()
        if self._quota is not None and self._refused and self._refused == self._answer.items:
            raise Refusal(
                429,
                "over_quota",
                "The source sends too many labels",
                f"At most {self._quota.per_minute} labels a minute of each source; send the same again later.",
                retry_after=str(WAIT_SECONDS),
            )
        return self._answer.content()

    def _add(self, item: Item) -> None:
        value, raw = item
        if len(self._batch) >= ITEMS_A_COMMIT:
            self._commit()
        if len(self._batch) % ITEMS_A_SLICE == 0:
            time.sleep(0)  # Lets the serving event loop run: pure Python would keep the interpreter for 5 ms.
        self._batch.append(value)
        if self._caller.key:
            self._digest.update(raw + b"\n")

    def _commit(self) -> None:
        receipts: list[LabelReceipt | None] = []
        labels: list[Label] = []
        refused = 0
        for number, item in enumerate(self._batch):
            if number % ITEMS_A_SLICE == 0:
                time.sleep(0)
            try:
                label = read_item(item, self._now_ns)
                if self._quota is not None and not self._quota.take(self._caller.name, label.source):
                    refused += 1
                    raise InvalidItem(self._quota.reason)
                labels.append(label)
                receipts.append(None)
            except InvalidItem as invalid:
                receipts.append(LabelReceipt(checked_id(item), LabelStatus.INVALID, str(invalid)))
        committed = self._hand_over(labels, keyed=not refused)
        if len(committed) != len(labels):
            raise RuntimeError("the hub answered another number of receipts than it was given labels")
        order = iter(committed)
        self._answer.add([receipt or next(order) for receipt in receipts])
        self._refused += refused
        self._batch = []
        self._batches += 1
        self._digest = hashlib.sha256()

    def _hand_over(self, labels: list[Label], *, keyed: bool) -> list[LabelReceipt]:
        """Where the quota took only some, the rest may come again under the same key: such a batch goes without."""
        if not labels:
            return []
        if not (keyed and self._caller.key):
            return list(self._hub.labels(labels))
        name = hashlib.sha256(f"{self._caller.name}\n{self._batches}\n{self._caller.key}".encode()).hexdigest()
        return list(self._hub.labels(labels, name[:KEY_DIGITS] + self._digest.hexdigest()[:KEY_DIGITS]))


class _Answer:
    """Receipts one by one, or above ``MAX_ITEMS`` a summary of bounded size."""

    def __init__(self) -> None:
        self.items = 0
        self._counts: Counter[LabelStatus] = Counter()
        self._receipts: list[LabelReceipt] = []
        self._rejects: list[tuple[int, LabelReceipt]] = []

    def add(self, receipts: list[LabelReceipt]) -> None:
        self._counts.update(receipt.status for receipt in receipts)
        rejects = [
            (number, receipt)
            for number, receipt in enumerate(receipts, start=self.items + 1)
            if receipt.status in REJECTED
        ]
        self._rejects += rejects[: REJECTS_TOLD - len(self._rejects)]
        self.items += len(receipts)
        self._receipts = self._receipts + receipts if self.items <= MAX_ITEMS else []

    def content(self) -> bytes:
        answer: dict[str, object] = {status.value: self._counts[status] for status in LabelStatus}
        if self.items <= MAX_ITEMS:
            return orjson.dumps(answer | {"items": [receipt._asdict() for receipt in self._receipts]})
        rejects = [{"item": number, **receipt._asdict()} for number, receipt in self._rejects]
        return orjson.dumps(answer | {"total": self.items, "rejects": rejects})
