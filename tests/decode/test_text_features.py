"""Texts and vectors as numbers."""

import json
import math
import string
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode.embedding import DIMENSIONS, PROJECTIONS, hashing_embedding, make_embedder, projections
from mlmon_sidecar.decode.text_features import (
    EMBEDDING_FAILED,
    LONG_TEXT,
    READ_CHARACTERS,
    as_vector,
    derived,
    text_columns,
    vector_columns,
)
from mlmon_sidecar.errors import ConfigError, MissingExtra

AXES = [f"embedding.{axis}" for axis in range(PROJECTIONS)]
EMBED = (
    "import json; from mlmon_sidecar.decode.embedding import *; "
    "print(json.dumps(projections(hashing_embedding(['Größe 42', 'a b c'])).tolist()))"
)


def figures(text: str) -> dict[str, float | None]:
    return {name.removeprefix("t."): cells[0] for name, cells in text_columns("t", [text], Counter()).items()}


def test_a_text_counted_by_hand() -> None:
    found = figures("Hi, Bob! 42 ü")
    assert list(found) == ["length", "words", "digits", "upper", "punctuation", "non_ascii", *AXES]
    assert [found[name] for name in ("length", "words")] == [13, 4]
    assert [found[name] for name in ("digits", "upper", "punctuation", "non_ascii")] == [
        pytest.approx(count / 13) for count in (2, 2, 2, 1)
    ]


@given(st.text(max_size=80))
def test_shares_are_those_of_the_standard_library(text: str) -> None:
    found = figures(text)
    kinds = {
        "digits": string.digits,
        "upper": string.ascii_uppercase,
        "punctuation": string.punctuation,
    }
    for name, members in kinds.items():
        assert found[name] == pytest.approx(sum(c in members for c in text) / max(1, len(text)))
    assert found["non_ascii"] == pytest.approx(sum(ord(c) > 127 for c in text) / max(1, len(text)))
    assert found["length"] == len(text)


@given(st.lists(st.text(max_size=30), min_size=2, max_size=5))
def test_a_row_does_not_depend_on_the_rows_beside_it(texts: list[str]) -> None:
    together = derived({"t": texts}, frozenset({"t"}), Counter())
    alone = [derived({"t": [text]}, frozenset({"t"}), Counter()) for text in texts]
    assert together == {name: [one[name][0] for one in alone] for name in together}


def test_embeddings_are_the_same_in_every_process() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", EMBED], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1
    here = projections(hashing_embedding(["Größe 42", "a b c"]))
    assert json.loads(outputs.pop()) == here.tolist()


def test_likeness_of_texts_is_likeness_of_vectors() -> None:
    weather = ["rain in the north and sun in the south", "sun in the north and rain in the south today"]
    order = "SKU 88213-A quantity 4 unit price 19.99 EUR"
    near, far = hashing_embedding([*weather, order])[0] @ hashing_embedding([*weather, order])[1:].T
    assert near > far + 0.3
    assert np.linalg.norm(hashing_embedding(weather), axis=1) == pytest.approx([1, 1])
    assert not hashing_embedding(["", " \n"]).any()


def test_a_change_of_language_moves_the_projections() -> None:
    english = ["please tell me when my order arrives", "where is my parcel", "i want to return the shoes"] * 4
    german = ["bitte sagen sie mir wann meine bestellung kommt", "wo ist mein paket", "ich will die schuhe"] * 4
    means = [projections(hashing_embedding(texts)).mean(axis=0) for texts in (english, german)]
    assert np.max(np.abs(means[0] - means[1])) > 0.5


@pytest.mark.parametrize("dimension", [65, 384, 1536])
def test_projections_have_the_stated_spread(dimension: int) -> None:
    drawn = np.random.default_rng(7).normal(size=(2000, dimension))
    folded = projections(drawn)
    assert folded.shape == (2000, PROJECTIONS)
    assert np.abs(folded.mean(axis=0)) == pytest.approx(np.zeros(PROJECTIONS), abs=0.12)
    assert folded.var(axis=0) == pytest.approx(np.ones(PROJECTIONS), abs=0.15)


def test_projections_do_not_depend_on_how_many_are_folded_at_once() -> None:
    drawn = np.random.default_rng(3).normal(size=(257, 384))
    at_once = projections(drawn)
    assert at_once.tobytes() == b"".join(projections(drawn[at : at + 1]).tobytes() for at in range(len(drawn)))


def test_vectors_as_they_are() -> None:
    columns = vector_columns("v", [[3.0, 4.0] + [0.0] * 98, None, [1.0, math.nan], [10**400, 1.0], [1e300] * 4])
    assert columns["v.norm"][:4] == [5.0, None, None, None]
    assert columns["v.dimension"] == [100, None, None, None, 4]
    scaled = vector_columns("v", [[6.0, 8.0] + [0.0] * 98])
    assert [scaled[f"v.{axis}"][0] for axis in AXES] == [columns[f"v.{axis}"][0] for axis in AXES]
    assert as_vector(["1", 2.0]) is None
    assert as_vector([True, False]) is None
    assert as_vector([]) is None
    assert as_vector([0.5] * 70_000) is None


def test_named_columns_and_long_texts_are_taken_apart_and_go_no_further() -> None:
    long = "word " * LONG_TEXT
    columns = {"note": ["short", None, long], "country": ["DE", "FR", "IT"], "prompt": ["hello", None, 7]}
    found = derived(columns, frozenset({"prompt"}), Counter())
    assert found["note"] == ["short", None, None]
    assert found["note.length"] == [None, None, len(long)]
    assert found["country"] == ["DE", "FR", "IT"]
    assert "country.length" not in found
    assert "prompt" not in found
    assert found["prompt.words"] == [1, None, None]


def test_a_huge_text_is_read_up_to_a_bound() -> None:
    found = figures("a" * READ_CHARACTERS + "9" * 1_000_000)
    assert found["length"] == READ_CHARACTERS + 1_000_000
    assert found["digits"] == 0


def test_odd_characters_are_no_error() -> None:
    assert figures("\ud800 \0 \U0001f600")["words"] == 3


def fails(texts: list[str]) -> list[list[float]]:
    raise RuntimeError(texts[0])


def lengths(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0] for text in texts]


def too_few(texts: list[str]) -> list[list[float]]:
    return [[1.0]]


def test_an_embedder_of_the_users_own() -> None:
    embedder = make_embedder(f"{__name__}:lengths")
    found = text_columns("t", ["abc", None, "x"], Counter(), embedder)
    assert found["t.embedding.0"][1] is None
    assert [found[f"t.{axis}"][0] for axis in AXES] == projections(np.array([[3.0, 1.0]]))[0].tolist()


@pytest.mark.parametrize("embedder", [fails, too_few])
def test_an_embedder_that_fails_costs_the_embedding_alone(embedder: object) -> None:
    skipped: Counter[str] = Counter()
    found = text_columns("t", ["abc", None, "x"], skipped, embedder)  # type: ignore[arg-type]
    assert found["t.length"] == [3, None, 1]
    assert "t.embedding.0" not in found
    assert skipped == {EMBEDDING_FAILED: 2}


@pytest.mark.parametrize("name", ["no_such_module:f", f"{__name__}:absent", f"{__name__}:AXES"])
def test_an_embedder_that_cannot_be_loaded_says_so(name: str) -> None:
    with pytest.raises(ConfigError, match="bad_embedder"):
        make_embedder(name)


def test_a_model_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match="embeddings"):
        make_embedder("all-MiniLM-L6-v2")


def test_a_model_is_never_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class SentenceTransformer:
        def __init__(self, name: str, *, local_files_only: bool) -> None:
            asked.append(local_files_only)
            if name == "absent":
                raise OSError("not on this machine")

        def encode(self, texts: list[str], *, show_progress_bar: bool) -> object:
            return np.ones((len(texts), DIMENSIONS))

    module = type(sys)("sentence_transformers")
    module.SentenceTransformer = SentenceTransformer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert text_columns("t", ["a"], Counter(), make_embedder("here"))["t.embedding.0"][0] is not None
    with pytest.raises(ConfigError, match="Download the model first"):
        make_embedder("absent")
    assert asked == [True, True]
