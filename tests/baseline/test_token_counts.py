"""Texts in bounded memory, against counting all of them."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.baseline.tokens import DistinctSample, Texts

CAP = 64


def pieces(texts: list[str], count: int) -> list[Counter[str]]:
    return [Counter(part.tolist()) for part in np.array_split(np.array(texts, dtype=object), count)]


def looked_at(texts: list[str], count: int) -> Texts:
    found = Texts(CAP)
    for part in pieces(texts, count):
        found.add(part)
    if found.is_crowded:
        for part in pieces(texts, count):
            found.look_closer(part)
    return found


@given(st.lists(st.integers(0, 400).map(str), min_size=1, max_size=500), st.integers(1, 9), st.randoms())
def test_order_and_pieces_change_nothing(texts: list[str], count: int, chance) -> None:  # type: ignore[no-untyped-def]
    shuffled = texts.copy()
    chance.shuffle(shuffled)
    assert looked_at(shuffled, count).tallied() == looked_at(texts, 1).tallied()


def test_few_texts_are_counted_exactly() -> None:
    texts = [f"t{k % 60}" for k in range(1000)]
    found = looked_at(texts, 7)
    assert not found.is_crowded
    assert found.tallied().counts == Counter(texts)
    assert found.tallied().unseen == pytest.approx(1 / 1000)


def test_of_many_texts_the_frequent_ones_are_known_with_their_exact_counts() -> None:
    rng = np.random.default_rng(1)
    texts = [f"rare {k}" for k in range(20_000)] + ["a"] * 4000 + ["b"] * 900 + ["c"] * 300
    rng.shuffle(texts)
    tallied = looked_at(texts, 50).tallied()
    assert tallied.counts == {"a": 4000, "b": 900}  # more than 2/64 of the rows
    assert len(tallied.hashes) == CAP
    assert tallied.unseen == pytest.approx(20_000 / len(texts), rel=0.5)


@given(st.lists(st.integers(0, 300).map(str), min_size=1, max_size=600), st.integers(1, 9))
def test_a_sample_of_distinct_texts_has_their_exact_counts(texts: list[str], count: int) -> None:
    sample = DistinctSample(20)
    for part in pieces(texts, count):
        sample.add(part)
    exact = Counter(texts)
    assert len(sample.counts()) == min(20, len(exact))
    assert sorted(sample.counts().values()) <= sorted(exact.values())[-20:]
    assert sample.is_exact is (len(exact) <= 20)


def test_the_number_of_distinct_texts_is_estimated() -> None:
    sample = DistinctSample(1000)
    sample.add({f"t{k}": 1 for k in range(50_000)})
    assert sample.distinct == pytest.approx(50_000, rel=0.1)
