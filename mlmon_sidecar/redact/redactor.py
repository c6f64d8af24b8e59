"""Masks personal data in values, texts and rows. Fails closed: what cannot be redacted is not kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mlmon_sidecar.records import PredictionBatch
from mlmon_sidecar.redact.actions import in_every_text, in_text, of_value
from mlmon_sidecar.redact.alike import plain_columns
from mlmon_sidecar.redact.document import KEY, Act, Document, Slot
from mlmon_sidecar.redact.placeholders import MASK
from mlmon_sidecar.redact.policy import PLAIN_NAMES, Action, RedactionPolicy
from mlmon_sidecar.redact.prose import Prose
from mlmon_sidecar.redact.rows import Redaction, RowRedactor
from mlmon_sidecar.redact.rules import NO_RULE, KeyRule, KeyRules
from mlmon_sidecar.redact.scanner import Found, Scanner

MAX_PASSES = 6  # over a text whose redaction showed further entities; then it is masked whole
MAX_REMEMBERED = 4096  # short texts of each name; then the memory starts afresh
MAX_SHORT = 128  # characters


class Explained(NamedTuple):
    """A redacted document and which rule acted where."""

    document: object
    acts: tuple[Act, ...]


class Redactor:
    """Applies one policy. Safe to share between threads.

    Args:
        policy: None for the preset ``default``.
        scanner: None for one that looks for the policy's entities.
        prose: names in prose, where that is wanted. Only documents are asked about: a category must come out the same
            each time, and a budget of time does not let it.
    """

    def __init__(
        self, policy: RedactionPolicy | None = None, *, scanner: Scanner | None = None, prose: Prose | None = None
    ) -> None:
        self.policy = policy if policy is not None else RedactionPolicy()
        wanted = [name for name in self.policy.entities if self.policy.action(name) is not Action.KEEP]
        self._scanner = scanner if scanner is not None else Scanner(wanted)
        self._prose = prose
        self._joins = Action.DROP in self.policy.actions.values()  # what stood apart then adjoins
        self._rules = KeyRules(self.policy, self._scanner, lambda name: self._text(name, NO_RULE, Counter()))
        self._short: dict[tuple[str, str], tuple[str, Counter[str]]] = {}
        self._rows = RowRedactor(self)

    def redact(self, value: object) -> object:
        """A copy of a decoded JSON value without personal data. Numbers are never looked at, only masked by name.

        Lists of numbers are shared with the copy. Redacting twice changes nothing.

        Raises:
            Exception: whatever went wrong; nothing of the value may be kept then.
        """
        return self.redact_counted(value, Counter())

    def redact_counted(self, value: object, counts: Counter[str]) -> object:
        """``redact``, adding to ``counts`` what was replaced, by entity."""
        return self._document(value, counts, None)

    def explain(self, value: object) -> Explained:
        """``redact``, and which rule acted where."""
        acts: list[Act] = []
        document = self._document(value, Counter(), acts)
        return Explained(document, tuple(acts))

    def redact_columns(
        self, columns: Mapping[str, Sequence[object]], counts: Counter[str]
    ) -> Mapping[str, Sequence[object]] | None:
        """Rows of these columns as ``redact_counted`` leaves them, under their names as they may be written.

        None where only a walk through each row can tell: nested values, names that decide, JSON in texts.
        """
        if self._prose is not None:
            return None
        found = plain_columns(columns, self._rules)
        if found is None:
            return None
        slots = [Slot(text, values, at, rule, ()) for values, rule, places in found.texts for at, text in places]
        for slot, after in zip(slots, self._cleaned(slots, counts, None, None), strict=True) if slots else ():
            slot.holder[slot.place] = after
        return found.columns

    def redact_text(self, text: str) -> str:
        """The text with every entity replaced. Redacting twice changes nothing."""
        return self._text(text, NO_RULE, Counter())

    def category(self, name: str, token: str) -> str:
        """A category of the column ``name`` as it may be counted and shown: the same wherever it is asked."""
        return self.short(name, token)[0]

    def short(self, name: str, text: str) -> tuple[str, Counter[str]]:
        """A text under a name that comes again and again, and what was replaced in it."""
        known = self._short.get((name, text))
        if known is None:
            counts: Counter[str] = Counter()
            known = (self._named(name, text, counts), counts)
            if len(text) <= MAX_SHORT:
                if len(self._short) >= MAX_REMEMBERED:
                    self._short.clear()
                self._short[name, text] = known
        return known

    def identifier(self, text: str) -> str | None:
        """The text as it may be stored and joined by; None where what is left of it no longer tells one from another.

        Hashed entities still do, whatever was masked, cut or dropped does not.
        """
        counts: Counter[str] = Counter()
        after = self._text(text, NO_RULE, counts)
        if after == text:
            return text
        hashed = bool(counts) and all(self.policy.action(name) is Action.HASH for name in counts)
        return after if hashed and after != MASK else None

    def identifiers(self, texts: Sequence[str], counts: Counter[str]) -> list[str | None]:
        """``identifier`` of many texts in one pass, adding to ``counts`` what was replaced, by entity."""
        cleaned = zip(texts, self.redact_texts(texts, counts), strict=True)
        return [text if after == text else self.identifier(text) for text, after in cleaned]

    def redact_texts(self, texts: Sequence[str], counts: Counter[str]) -> list[str]:
        """Many texts in one pass."""
        slots = [Slot(text, None, None, NO_RULE, ()) for text in texts]
        return self._cleaned(slots, counts, None, None)

    def redact_batch(self, batch: PredictionBatch, store_features: frozenset[str], keep: Sequence[bool]) -> Redaction:
        """The rows chosen by ``keep`` (rows,), with only the features named in ``store_features``."""
        return self._rows.redact(batch, store_features, keep)

    def _named(self, name: str, text: str, counts: Counter[str]) -> str:
        if name in PLAIN_NAMES or not name:
            return self._text(text, NO_RULE, counts)
        rule = self._rules.of(name)
        if not rule.survives:
            return MASK
        if rule.action is None:
            return self._text(text, rule, counts)
        if rule.action is Action.DROP:
            return MASK
        if rule.action is Action.KEEP:
            return writable(text)
        counts[KEY] += 1
        return str(of_value(self.policy, rule.action, rule.label, text))

    def _document(self, value: object, counts: Counter[str], acts: list[Act] | None) -> object:
        document = Document(self.policy, self._rules, counts, acts)
        box = document.walk(value)
        for slot, after in zip(document.slots, self._cleaned(document.slots, counts, acts, self._prose), strict=True):
            if after is not slot.text:
                slot.holder[slot.place] = after
        document.finish()
        return box[0]

    def _text(self, text: str, rule: KeyRule, counts: Counter[str]) -> str:
        return self._cleaned([Slot(text, None, None, rule, ())], counts, None, None)[0]

    def _cleaned(
        self, slots: Sequence[Slot], counts: Counter[str], acts: list[Act] | None, prose: Prose | None
    ) -> list[str]:
        """The slots' texts without personal data; the same object where nothing changed."""
        texts = [slot.text for slot in slots]
        pending = list(range(len(slots)))
        deadline = self._scanner.deadline(sum(map(len, texts)))
        for number in range(MAX_PASSES):
            rules = [slots[at].rule for at in pending]
            found, unsettled = self._scanner.scan(
                [texts[at] for at in pending],
                [rule.hint for rule in rules],
                [rule.worded for rule in rules],
                deadline,
            )
            if prose is not None and number == 0:
                found = prose.add([texts[at] for at in pending], rules, found)
                unsettled.update(found)
            changed = []
            for index, spans in found.items():
                at = pending[index]
                texts[at] = self._replaced(texts[at], spans, counts)
                if index in unsettled or self._joins:
                    changed.append(at)
                if acts is not None:
                    acts += [Act(slots[at].path, one.name, self.policy.action(one.name)) for one in spans]
            if not changed:
                return [text if text.isascii() else writable(text) for text in texts]
            pending = changed  # what stands beside a replaced entity may now be one
        for at in pending:
            texts[at] = MASK
        return [writable(text) for text in texts]

    def _replaced(self, text: str, spans: Sequence[Found], counts: Counter[str]) -> str:
        parts: list[str] = []
        after = 0
        fixed = {name: in_every_text(self.policy, name) for name in {one.name for one in spans}}
        for start, end, name in spans:
            instead = fixed[name]
            parts += (text[after:start], in_text(self.policy, name, text[start:end]) if instead is None else instead)
            after = end
        counts.update(one.name for one in spans)
        return "".join([*parts, text[after:]])


def writable(text: str) -> str:
    """Lone surrogates as question marks: no store and no wire takes them."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
