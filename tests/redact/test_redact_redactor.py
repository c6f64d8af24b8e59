import copy
import dataclasses
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.records import PredictionBatch
from mlmon_sidecar.redact import RedactionPolicy, Redactor
from mlmon_sidecar.redact.document import MAX_DEPTH
from mlmon_sidecar.redact.keys import normalise_key
from mlmon_sidecar.redact.placeholders import MASK
from mlmon_sidecar.redact.sampling import in_sample, keep_rows

REDACTOR = Redactor()


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("password", True), ("Password", True), ("firstName", True), ("X-Api-Key", True), ("APIKey", True),
        ("card number", True), ("user.email", True), ("address.city", True), ("dateOfBirth", True), ("SSN", True),
        ("max_tokens", False), ("token_count", False), ("passwordless", False), ("email_opened", False),
        ("phone_age_days", False), ("features.0", False), ("amount", False), ("addressable", False), ("pincode", False),
        ("mail_volume", False), ("has_address", False), ("name", False), ("city", False), ("", False),
    ],
)  # fmt: skip
def test_names_match_whole_or_not_at_all(name: str, masked: bool) -> None:
    assert RedactionPolicy().masks(name) is masked
    assert (REDACTOR.redact({name: 5}) == {name: MASK}) is masked


def test_default_keys_are_written_as_they_are_compared() -> None:
    for policy in map(RedactionPolicy.of, ("default", "strict")):
        assert {normalise_key(key) for key in policy.keys} == set(policy.keys)


def test_values_under_names_and_in_texts() -> None:
    given = {
        "password": "x",
        "nested": {"iban": ["a", {"b": 1}], "note": "write to jo@example.org", "n": 4111111111111111},
        "list": ["jo@example.org", 1.5, None, True],
        "jo@example.org": 1,
        "token": None,
    }
    before = copy.deepcopy(given)
    assert REDACTOR.redact(given) == {
        "password": MASK,
        "nested": {"iban": MASK, "note": "write to <email>", "n": 4111111111111111},
        "list": ["<email>", 1.5, None, True],
        "<email>": 1,
        "token": None,
    }
    assert given == before


def test_fails_closed_on_what_it_cannot_look_into() -> None:
    deep: Any = "jo@example.org"
    for _ in range(5000):
        deep = [deep]
    found = REDACTOR.redact(deep)
    depth = 0
    while isinstance(found, list):
        (found,) = found
        depth += 1
    assert (found, depth) == (MASK, MAX_DEPTH)
    assert REDACTOR.redact([b"jo@example.org", object(), {1, 2}]) == [MASK, MASK, MASK]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.emails() | st.sampled_from(["jo@a.org x@b.de", "user@host", "\ud800 jo@a.org"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=6) | st.sampled_from(["email", "password", "a.token"]), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(VALUES)
def test_never_mutates_and_redacting_twice_changes_nothing(value: object) -> None:
    before = copy.deepcopy(value)
    once = REDACTOR.redact(value)
    assert value == before
    assert REDACTOR.redact(once) == once


@given(st.from_regex(r"[a-z]{1,9}[0-9]{0,3}@[a-z]{2,12}\.(com|org|de|io|co\.uk)", fullmatch=True))
def test_no_address_survives_inside_prose(address: str) -> None:
    if address.startswith("git@"):
        return
    assert address not in REDACTOR.redact_text(f"Write to {address}, soon")


class TestPolicy:
    def test_hash_is_stable_and_tells_rules_apart(self) -> None:
        default = RedactionPolicy()
        assert default.hash == RedactionPolicy.of("default").hash
        assert len(default.hash) == 16
        assert int(default.hash, 16) >= 0
        others = [RedactionPolicy.of("strict"), RedactionPolicy.of("off"), RedactionPolicy.of(mask=("vin",))]
        assert len({default.hash, *(policy.hash for policy in others)}) == 4
        assert RedactionPolicy.of(mask=("firstName",)).hash == default.hash

    def test_mask_and_allow(self) -> None:
        policy = RedactionPolicy.of(mask=("customerRef",), allow=("Email",))
        assert policy.masks("customer_ref")
        assert not policy.masks("email")

    def test_presets(self) -> None:
        assert RedactionPolicy.of("strict").masks("city")
        off = Redactor(RedactionPolicy.of("off"))
        assert off.redact({"password": "jo@example.org"}) == {"password": "jo@example.org"}
        with pytest.raises(ConfigError, match="default, hipaa, off, pci, strict"):
            RedactionPolicy.of("lax")


def test_categories_pass_the_same_rules() -> None:
    assert REDACTOR.category("email", "anything") == MASK
    assert REDACTOR.category("contact", "jo@example.org") == "<email>"
    assert REDACTOR.category("color", "red") == "red"


def batch(rows: int = 3, **changes: Any) -> PredictionBatch:
    fields: dict[str, Any] = {
        "model": "m",
        "version": "v1",
        "event_ns": np.arange(rows) + 5,
        "weight": np.ones(rows, dtype=np.int64),
        "prediction_ids": [f"id{at}" for at in range(rows)],
        "aliases": ["tx1", "jo@example.org", None],
        "features": {"amount": [1.5, None, 3], "email": ["x", "y", None], "note": ["hi jo@a.org", "ok", "\ud800"]},
        "score": np.array([0.5, np.nan, 0.25]),
        "predicted": ["yes", None, "jo@example.org"],
        "confidence": np.array([0.5, 0.75, np.nan]),
        "segments": [None, "eu", "jo@a.org"],
        "traces": [(0, 0), (1, 2), (0, 0)],
        "exemplar": [False] * rows,
    }
    return PredictionBatch(**{**fields, **changes})


class TestRows:
    def test_kept_rows(self) -> None:
        rows, failed = REDACTOR.redact_batch(batch(), frozenset({"amount", "email", "note"}), [True, True, True])
        first, second, third = rows.rows
        assert failed == 0
        assert (first.prediction_id, first.model, first.version, first.event_ns) == ("id0", "m", "v1", 5)
        assert orjson.loads(first.features) == {"amount": 1.5, "email": MASK, "note": "hi <email>"}
        assert (first.score, first.predicted, first.confidence, first.alias) == (0.5, "yes", 0.5, "tx1")
        assert (first.trace_id, first.span_id, first.segment) == ("", "", "")
        assert (second.score, second.predicted, second.alias, second.segment) == (None, None, None, "eu")
        assert (second.trace_id, second.span_id) == (f"{1:032x}", f"{2:016x}")
        assert (third.predicted, third.confidence, third.segment) == ("<email>", None, "<email>")
        assert orjson.loads(third.features) == {"amount": 3, "note": "?"}
        assert rows.redactions == {"email": 4, "key": 2}
        assert "jo@" not in repr(rows)

    def test_no_feature_by_default_and_only_kept_rows(self) -> None:
        rows, _ = REDACTOR.redact_batch(batch(), frozenset(), [False, True, False])
        assert [(row.prediction_id, row.features) for row in rows.rows] == [("id1", "{}")]

    def test_the_batch_is_not_changed(self) -> None:
        given = batch()
        before = copy.deepcopy(given.features)
        REDACTOR.redact_batch(given, frozenset(given.features), [True] * 3)
        assert given.features == before

    def test_an_array_of_numbers_is_kept_as_numbers(self) -> None:
        given = batch(features={"amount": np.array([1.5, 2.0, 3.25])})
        rows, failed = REDACTOR.redact_batch(given, frozenset({"amount"}), [True, False, True])
        assert (failed, [orjson.loads(row.features) for row in rows.rows]) == (0, [{"amount": 1.5}, {"amount": 3.25}])

    def test_a_row_that_cannot_be_redacted_is_gone_and_counted(self) -> None:
        features = {"a": [1, 10**30, 2]}  # no JSON writer takes the second
        rows, failed = REDACTOR.redact_batch(batch(features=features), frozenset({"a"}), [True] * 3)
        assert [row.prediction_id for row in rows.rows] == ["id0", "id2"]
        assert failed == 1

    def test_a_detector_that_raises_lets_nothing_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        redactor = Redactor()

        def broken(*_: object) -> Any:
            raise TimeoutError

        monkeypatch.setattr(redactor._scanner, "scan", broken)
        rows, failed = redactor.redact_batch(batch(), frozenset(), [True] * 3)
        assert (list(rows.rows), failed) == ([], 3)

    def test_counts_belong_to_one_batch(self) -> None:
        for _ in range(2):
            rows, _ = REDACTOR.redact_batch(batch(), frozenset(), [False, True, False])
            assert rows.redactions == {"email": 1}
        assert dataclasses.is_dataclass(rows)


class TestSampling:
    def test_the_rate_is_met_and_rows_of_a_request_agree(self) -> None:
        ids = [f"0191-{at}" for at in range(20_000)]
        kept = [name for name in ids if in_sample(name, 0.1)]
        assert 0.09 < len(kept) / len(ids) < 0.11
        assert all(in_sample(f"{name}/{row}", 0.1) for name in kept[:50] for row in (0, 7))
        assert {name for name in ids if in_sample(name, 0.05)} <= set(kept)

    def test_bounds_and_exemplars(self) -> None:
        ids = [str(at) for at in range(100)]
        assert all(keep_rows(ids, [False] * 100, 1.0))
        assert not any(keep_rows(ids, [False] * 100, 0.0))
        assert keep_rows(ids, [True] + [False] * 99, 0.0) == [True] + [False] * 99
        assert keep_rows(ids, [False] * 100, 0.3) == [in_sample(name, 0.3) for name in ids]
