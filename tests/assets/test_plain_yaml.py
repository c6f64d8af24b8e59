"""What is written is what PyYAML reads."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.assets.plain_yaml import to_yaml

printable = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], max_codepoint=0x2FF))
scalars = st.one_of(printable, st.integers(-1000, 1000), st.booleans(), st.sampled_from(["on", "1e3", "a:", "no", "~"]))
documents = st.recursive(
    st.dictionaries(printable, scalars, min_size=1, max_size=3),
    lambda inner: st.dictionaries(printable, st.one_of(inner, st.lists(st.one_of(inner, scalars))), min_size=1),
    max_leaves=12,
)


@given(documents)
def test_it_reads_back(document: Any) -> None:
    assert yaml.safe_load(to_yaml(document, "A comment.\n\nOf two.")) == document


@pytest.mark.parametrize("document", [{"a": [[1, 2], [{"b": []}]]}, [], {}, [{"a": 1, "b": {"c": [{}]}}]])
def test_nesting(document: Any) -> None:
    assert yaml.safe_load(to_yaml(document)) == document
