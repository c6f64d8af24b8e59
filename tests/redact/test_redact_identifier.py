"""Texts that are joined by: they tell one from another, or they are not kept."""

import pytest

from mlmon_sidecar.redact import RedactionPolicy, Redactor
from mlmon_sidecar.redact.hash_keys import HashKeys

KEYS = HashKeys({"k1": b"a-secret-of-some-length"})
HASHES = Redactor(RedactionPolicy.of(actions=("email=hash", "card=hash"), hash_keys=KEYS))


@pytest.mark.parametrize("text", ["tx-17", "", "4111111111111112", "<email>", "Bestellung für Köln"])
def test_what_holds_nothing_personal_stays(text: str) -> None:
    assert Redactor().identifier(text) == text
    assert HASHES.identifier(text) == text


def test_what_is_masked_identifies_nothing() -> None:
    for policy in ((), ("email=partial",), ("email=drop",)):
        redactor = Redactor(RedactionPolicy.of(actions=policy))
        assert redactor.identifier("jo@example.org") is None
        assert redactor.identifier("order of jo@example.org") is None


def test_what_is_hashed_tells_one_from_another() -> None:
    one, other = HASHES.identifier("jo@example.org"), HASHES.identifier("al@example.org")
    assert one is not None and other is not None
    assert one != other
    assert one == HASHES.redact_text("jo@example.org")
    assert HASHES.identifier(one) == one
    assert HASHES.identifier("jo@example.org 4111111111111111") not in (None, one)


def test_one_mask_among_hashes_is_enough_to_lose_it() -> None:
    assert HASHES.identifier("jo@example.org +14155552671") is None


def test_what_cannot_be_written_is_no_identifier() -> None:
    assert HASHES.identifier("a\ud800") is None


def test_many_are_counted_once() -> None:
    from collections import Counter

    counts: Counter[str] = Counter()
    texts = ["tx1", "jo@example.org", "+14155552671"]
    assert HASHES.identifiers(texts, counts) == ["tx1", HASHES.redact_text("jo@example.org"), None]
    assert counts == {"email": 1, "phone": 1}
