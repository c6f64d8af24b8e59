"""Settings of texts and language models, from the file to the stages."""

from pathlib import Path

import pytest

from mlmon_sidecar.baseline.build import Purpose, build_baseline
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.config import Settings, load
from mlmon_sidecar.decode.embedding import PROJECTIONS
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.redact import Redactor
from mlmon_sidecar.runtime import assembly

NOTES = ["please call me back", "nothing to add", "WHERE IS MY ORDER 4711?!", "grüezi mitenand", "thanks a lot"]


def embed(texts: list[str]) -> list[list[float]]:
    return [[float(len(text)), 1.0, 0.0] for text in texts]


def watched(tmp_path: Path, text: str) -> tuple[assembly.Watched, Settings]:
    (tmp_path / "mlmon.toml").write_text(f"[models.m]\n{text}\n")
    settings = load(tmp_path / "mlmon.toml").settings
    (found,) = assembly.watched_models(settings, lambda path: "")
    return found, settings


def test_text_columns_are_named_as_selectors_or_plainly(tmp_path: Path) -> None:
    model, _ = watched(tmp_path, 'text = ["request.note", "input.text"]')
    options = assembly.decode_options(model)
    assert options.text == {"note", "input.text"}
    assert options.keeps_text
    assert not options.content


@pytest.mark.parametrize(
    ("said", "environ", "captured"),
    [
        ("false", {}, False),
        ("true", {}, True),
        ("false", {assembly.CAPTURE_CONTENT: "true"}, True),
        ("false", {assembly.CAPTURE_CONTENT: "TRUE "}, True),
        ("false", {assembly.CAPTURE_CONTENT: "false"}, False),
    ],
)
def test_content_is_captured_where_either_side_says_so(
    tmp_path: Path, said: str, environ: dict[str, str], *, captured: bool
) -> None:
    model, settings = watched(tmp_path, f"[privacy]\ncontent = {said}")
    assert assembly.captures_content(settings, environ) is captured
    assert assembly.recorded_model(model, settings, Redactor(), content=captured).decode.content is captured


@pytest.mark.parametrize(("said", "latest"), [("", False), ("http", False), ("http, gen_ai_latest_experimental", True)])
def test_newer_names_are_opted_in_to(said: str, *, latest: bool) -> None:
    assert assembly.latest_gen_ai({"OTEL_SEMCONV_STABILITY_OPT_IN": said}) is latest


def test_an_embedder_is_loaded_at_the_start_or_refused(tmp_path: Path) -> None:
    model, _ = watched(tmp_path, f'embedder = "{__name__}:embed"')
    assert assembly.decode_options(model).embedder is embed
    broken, _ = watched(tmp_path, 'embedder = "nowhere:embed"')
    with pytest.raises(ConfigError, match="bad_embedder"):
        assembly.decode_options(broken)


def test_a_baseline_takes_texts_apart_as_serving_does(tmp_path: Path) -> None:
    model, _ = watched(tmp_path, 'text = ["note"]')
    options = assembly.decode_options(model)
    columns: dict[str, list[object]] = {
        "note": [f"{NOTES[at % 5]} {at % 7}" for at in range(200)],
        "vector": [[float((at * k) % 11) + 0.5 for k in range(80)] for at in range(200)],
        "label": ["yes" if at % 3 else "no" for at in range(200)],
    }
    baseline = build_baseline(
        columns, Roles(prediction="label"), Purpose("m", text=options.text), redact_category=lambda name, token: token,
        policy="p", created="2026-01-01",
    )  # fmt: skip
    names = {feature.name for feature in baseline.layout.features}
    folded = {f"{name}.embedding.{axis}" for name in ("note", "vector") for axis in range(PROJECTIONS)}
    assert folded | {"note.length", "note.words", "vector.norm"} <= names
    assert not {"note", "vector"} & names
    batch = batch_from_columns("m", now_ns=0, features={"note": NOTES}, options=options)
    assert set(batch.features) == {name for name in names if name.startswith("note.")}
