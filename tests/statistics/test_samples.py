from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.records import Sample
from mlmon_sidecar.statistics.samples import limit, merge_samples, smallest

MEMBERS = st.lists(st.builds(Sample, st.integers(0, 60), st.sampled_from(["", "a", "b"])), max_size=30)
NAMES = st.sampled_from(["inputs", "new:x", "new:inputs"])
SAMPLES = st.dictionaries(NAMES, MEMBERS).map(
    lambda found: {name: smallest(members, limit(name)) for name, members in found.items()}
)


def test_limits() -> None:
    assert (limit("inputs"), limit("new:color")) == (20, 5)


@given(SAMPLES, SAMPLES, SAMPLES)
def test_any_grouping_gives_the_same(
    a: dict[str, tuple[Sample, ...]], b: dict[str, tuple[Sample, ...]], c: dict[str, tuple[Sample, ...]]
) -> None:
    assert merge_samples(a, b) == merge_samples(b, a)
    assert merge_samples(merge_samples(a, b), c) == merge_samples(a, merge_samples(b, c))
    assert merge_samples(a, a) == a
    assert merge_samples(a, {}) == a
    assert list(merge_samples(a, b)) == sorted({*a, *b})


@given(MEMBERS, MEMBERS)
def test_equals_the_smallest_of_all(a: list[Sample], b: list[Sample]) -> None:
    merged = merge_samples({"inputs": smallest(a, 20)}, {"inputs": smallest(b, 20)})
    assert merged["inputs"] == tuple(sorted({*a, *b}))[:20]
