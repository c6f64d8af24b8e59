"""Labels that the hub fetches by itself, in a thread of its own: they go the way of labels that are sent."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from mlmon_sidecar.errors import MlmonError
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.records import Label, LabelStatus
from mlmon_sidecar.runtime.pull_sources import PullOrder, pieces
from mlmon_sidecar.runtime.row_files import Row
from mlmon_sidecar.telemetry import ERRORS_PREFIX
from mlmon_sidecar.web.feedback_items import InvalidItem, item_of_cells, read_item

LOOK_SECONDS = 1.0  # how often it is looked whether a pull is due
PAUSE_SECONDS = 0.002  # between two pieces: a serving process may be the hub
REFUSED = frozenset({LabelStatus.AMBIGUOUS, LabelStatus.EXPIRED, LabelStatus.INVALID, LabelStatus.QUARANTINED})
KEYS = ("id", "label", "observed_at", "weight", "source")

_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?)?")


class LabelPull:
    """Implements ``hub.Companion``."""

    def __init__(self, hub: Hub, orders: Sequence[PullOrder]) -> None:
        self._hub = hub
        self._due = {order.model: (order, 0) for order in orders}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlmon-label-pull", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """After the piece in hand; what was committed is not read again."""
        self._stopping.set()
        self._thread.join(deadline_seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.turn()
            self._stopping.wait(LOOK_SECONDS)

    def turn(self) -> None:
        """Pull what is due."""
        for model, (order, due_ns) in self._due.items():
            if self._hub.clock.monotonic_ns() >= due_ns and not self._stopping.is_set():
                self._pull(order)
                self._due[model] = order, self._hub.clock.monotonic_ns() + order.every_ns

    def _pull(self, order: PullOrder) -> None:
        rows = taken = refused = 0
        problem, reason = "", ""
        now_ns = self._hub.clock.unix_ns()
        try:
            for piece in pieces(order, self._hub.store.place, now_ns):
                labels, unread = labels_of(piece.rows, order, now_ns)
                receipts = self._hub.pulled(labels, piece.place)
                wrong = [receipt.reason for receipt in receipts if receipt.status in REFUSED]
                rows, refused = rows + len(piece.rows), refused + len(wrong) + len(unread)
                taken += len(receipts) - len(wrong)
                reason = reason or next(iter((*unread, *wrong)), "")
                if self._stopping.wait(PAUSE_SECONDS):
                    break
        except Exception as error:  # The database's or the disk's: it may be well again at the next pull.
            problem = str(error) if isinstance(error, MlmonError) else type(error).__name__
            code = error.code if isinstance(error, MlmonError) else type(error).__name__
            self._hub.telemetry.add(f"{ERRORS_PREFIX}label_pull.{code}")
            self._hub.telemetry.warn(f"label_pull {order.model}", f"labels of {order.model} not pulled: {problem}")
        if refused:
            sentence = f"{refused:,} of {rows:,} labels pulled for {order.model} were refused; the first: {reason}"
            self._hub.telemetry.warn(f"label_pull {order.model} rows", sentence)
        self._hub.pulls[order.model] = {
            "at_ms": now_ns // 1_000_000, "rows": rows, "taken": taken, "refused": refused, "problem": problem,
        }  # fmt: skip


def labels_of(rows: Sequence[Row], order: PullOrder, now_ns: int) -> tuple[list[Label], list[str]]:
    """The labels, and why other rows are none."""
    labels: list[Label] = []
    unread: list[str] = []
    for row in rows:
        try:
            labels.append(read_item(_item(row, order), now_ns))
        except InvalidItem as invalid:
            unread.append(str(invalid))
    return labels, unread


def _item(row: Row, order: PullOrder) -> dict[str, Any]:
    """As it would have been sent. Cells of a CSV file are text: what looks like a number is one."""
    found = {key: row.get(order.columns.get(key, key)) for key in KEYS}
    item = {key: value for key, value in found.items() if value is not None}
    if order.path.endswith(".csv"):
        item = item_of_cells(item)
    if isinstance(item.get("id"), int):
        item["id"] = str(item["id"])
    observed = item.get("observed_at")
    if order.utc and isinstance(observed, str) and _NO_ZONE.fullmatch(observed):
        item["observed_at"] = f"{observed}Z" if len(observed) > 10 else f"{observed}T00:00:00Z"
    return {"source": order.source, **item, "model": order.model}
