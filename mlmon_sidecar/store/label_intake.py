"""What becomes of each label of a request: judged and answered in order, the same on every store. No SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import orjson

from mlmon_sidecar.errors import FeedbackError
from mlmon_sidecar.records import LABEL_UNIT, Label, LabelReceipt, LabelStatus
from mlmon_sidecar.store import label_rules
from mlmon_sidecar.store.label_rules import USUAL_DAYS, Rules, Said

DAY_NS = 86_400 * 1_000_000_000
KEY_DIGITS = 32  # of a key, and as many of the digest behind it
KEYS_KEPT_NS = 2 * DAY_NS

Row = tuple[str, str, str | None, str, int, int, str, str, float, int]
"""A label as it is inserted: id, model, prediction id, label, observed, received, source, state, weight, counted."""


class Found(NamedTuple):
    """What the store knows about one item."""

    prediction_id: str | None
    model: str | None  # the prediction's
    event_ns: int | None
    said: tuple[str, float] | None  # label and weight, by the newest label that counts
    several_models: bool
    batch: bool


NOT_FOUND = Found(None, None, None, None, False, False)


class LabelTables(Protocol):
    """The tables of labels, inside one transaction."""

    def answered(self, key: str) -> tuple[str, str] | None:
        """(digest, receipts) that were kept for a key."""

    def keep_answer(self, key: str, digest: str, receipts: str, received_ns: int) -> None:
        """Also forgets those received ``KEYS_KEPT_NS`` before."""

    def look_up(self, items: Sequence[tuple[str, str, int]]) -> Mapping[int, Found]:
        """Of (id, model, observed_ns), by position."""

    def insert(self, rows: Sequence[Row]) -> None: ...

    def forget_sources(self, model: str, before_day: int) -> None: ...

    def sources(self, model: str, day: int) -> Sequence[tuple[str, str, bool, int, int]]:
        """(source, label, whether said on ``day``, taken, held)."""

    def count_sources(self, rows: Sequence[tuple[str, str, int, str, int, int]]) -> None:
        """(model, source, day, label, taken, held), one of each label."""

    def count_totals(self, rows: Sequence[tuple[str, str, int]]) -> None:
        """(model, status, labels)."""


def commit(
    tables: LabelTables, labels: Sequence[Label], received_ns: int, rules: Rules, key: str = ""
) -> list[LabelReceipt]:
    """Insert what is new; answer for every item in order. Runs inside a durable transaction.

    Args:
        key: "" or ``KEY_DIGITS`` of the request's key and as many of a digest of its content.

    Raises ``FeedbackError`` (``key_reused``) for a key that came with another content.
    """
    if key:
        before = _answered(tables, labels, key)
        if before is not None:
            return before
    receipts = _Intake(tables, received_ns, rules).take(labels)
    if key:
        packed = orjson.dumps([(receipt.status, receipt.reason) for receipt in receipts]).decode()
        tables.keep_answer(key[:KEY_DIGITS], key[KEY_DIGITS:], packed, received_ns)
    return receipts


def _answered(tables: LabelTables, labels: Sequence[Label], key: str) -> list[LabelReceipt] | None:
    found = tables.answered(key[:KEY_DIGITS])
    if found is None:
        return None
    digest, packed = found
    said = orjson.loads(packed)
    if digest != key[KEY_DIGITS:] or len(said) != len(labels):
        raise FeedbackError(
            "the idempotency key came before with another content",
            code="key_reused",
            hint="Give every request a key of its own, and the same one only to its repetitions.",
        )
    return [
        LabelReceipt(label.id, LabelStatus(status), reason)
        for label, (status, reason) in zip(labels, said, strict=True)
    ]


class _Intake:
    """One transaction's labels."""

    def __init__(self, tables: LabelTables, received_ns: int, rules: Rules) -> None:
        self._tables = tables
        self._received_ns = received_ns
        self._rules = rules
        self._known: dict[tuple[str, str], tuple[tuple[str, float] | None, int]] = {}  # said before in this request
        self._rows: list[Row] = []
        self._by_source: dict[tuple[str, str], list[tuple[int, int]]] = {}  # (model, source): receipt and row

    def take(self, labels: Sequence[Label]) -> list[LabelReceipt]:
        found = self._tables.look_up([(label.id, label.model, label.observed_ns) for label in labels])
        receipts = [
            self._take(position, label, found.get(position, NOT_FOUND)) for position, label in enumerate(labels)
        ]
        self._quarantine(receipts)
        if self._rows:
            self._tables.insert(self._rows)
        return receipts

    def _take(self, position: int, label: Label, found: Found) -> LabelReceipt:
        if found.several_models or found.batch:
            reason = label_rules.SEVERAL_MODELS if found.several_models else label_rules.BATCH
            return LabelReceipt(label.id, LabelStatus.AMBIGUOUS, reason)
        model = found.model or label.model
        rule = self._rules.get(model)
        refused = label_rules.refused(label, rule, found.event_ns, self._received_ns)
        if refused is not None:
            return LabelReceipt(label.id, *refused)
        prediction_id = found.prediction_id
        # While nobody knows which prediction an alias means, another time of observation may mean another one.
        when = label.observed_ns if prediction_id is None else 0
        subject = ("", prediction_id) if prediction_id is not None else (label.model + "\0", label.id)
        said, said_of = self._known.get(subject, (found.said, when))
        now = label.label, label.weight
        if (said, said_of) == (now, when):
            return LabelReceipt(label.id, LabelStatus.DUPLICATE)
        self._known[subject] = now, when
        if rule is not None and rule.classes and label.source not in rule.trusted:
            self._by_source.setdefault((model, label.source), []).append((position, len(self._rows)))
        state = "pending" if prediction_id is None else "ready"
        self._rows.append(
            (label.id, label.model, prediction_id, label.label, label.observed_ns, self._received_ns, label.source,
             state, label.weight, max(1, round(label.weight * LABEL_UNIT)))
        )  # fmt: skip
        if prediction_id is None:
            return LabelReceipt(label.id, LabelStatus.PENDING, label_rules.NOT_HERE)
        return LabelReceipt(label.id, LabelStatus.ACCEPTED if said is None else LabelStatus.CORRECTED)

    # ------------------------------------------------------------ sources

    def _quarantine(self, receipts: list[LabelReceipt]) -> None:
        """Marks what strange sources say, and counts what all of them say."""
        said: dict[str, dict[str, Said]] = {}
        counted: Counter[tuple[str, str, str, bool]] = Counter()
        for (model, source), places in self._by_source.items():
            if model not in said:
                said[model] = self._said(model)
            by_source = said[model]
            name = label_rules.watched_name(source, by_source)
            words = by_source.setdefault(name, Said())
            words.recent.update(self._rows[row][3] for _, row in places)
            strange = label_rules.strange_classes(name, by_source, self._rules[model].shares)
            for position, row in places:
                label = self._rows[row][3]
                held = label in strange
                counted[model, name, label, held] += 1
                if held:
                    self._rows[row] = (*self._rows[row][:7], "quarantined", *self._rows[row][8:])
                    receipts[position] = receipts[position]._replace(
                        status=LabelStatus.QUARANTINED, reason=label_rules.STRANGE
                    )
        day, totals = self._received_ns // DAY_NS, Counter[str]()
        if counted:
            whole = {(model, name, label) for model, name, label, _ in counted}
            self._tables.count_sources(
                [(m, name, day, label, counted[m, name, label, False], counted[m, name, label, True])
                 for m, name, label in sorted(whole)]
            )  # fmt: skip
        for (model, _, _, held), n in counted.items():
            totals[model] += n * held
        if +totals:
            self._tables.count_totals([(model, "quarantined", n) for model, n in (+totals).items()])

    def _said(self, model: str) -> dict[str, Said]:
        today = self._received_ns // DAY_NS
        self._tables.forget_sources(model, today - USUAL_DAYS)
        said: dict[str, Said] = {}
        for source, label, recent, taken, held in self._tables.sources(model, today):
            words = said.setdefault(source, Said())
            if recent:
                words.recent[label] += taken + held
            else:
                words.usual[label] += taken
        return said
