"""Labels under the same policy as predictions: their texts are redacted, and an id is stored only as it may be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from mlmon_sidecar.records import Label, LabelReceipt, LabelStatus
from mlmon_sidecar.redact.redactor import Redactor

PERSONAL_ID = "the id holds personal data that the policy masks, so it names no prediction; hash it to join by it"

_MINTED = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:/\d+)?")


@cache
def default_privacy() -> LabelPrivacy:
    """Under the preset ``default``."""
    return LabelPrivacy(Redactor())


class LabelPrivacy:
    """What may be stored of labels, and under which names somebody lies in the store."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    @property
    def policy(self) -> str:
        """Hash of the redaction policy."""
        return self._redactor.policy.hash

    def clean(self, labels: Sequence[Label]) -> list[Label | LabelReceipt]:
        """Each label as it may be stored, or the answer to one whose id may not: recorders keep no such alias."""
        foreign = [label.id for label in labels if not _MINTED.fullmatch(label.id)]
        stored = iter(self._redactor.identifiers(foreign, Counter()))
        return [self._clean(label, label.id if _MINTED.fullmatch(label.id) else next(stored)) for label in labels]

    def names(self, ids: Sequence[str]) -> list[str]:
        """The ids, and what the policy makes of them."""
        stored = (self._redactor.identifier(id_) for id_ in ids)
        return list(dict.fromkeys([*ids, *(name for name in stored if name is not None)]))

    def _clean(self, label: Label, id_: str | None) -> Label | LabelReceipt:
        if id_ is None:
            return LabelReceipt("", LabelStatus.INVALID, PERSONAL_ID)
        text, source, model = (self._redactor.short("", said)[0] for said in (label.label, label.source, label.model))
        return label._replace(id=id_, label=text, source=source, model=model)
