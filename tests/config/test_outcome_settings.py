from pathlib import Path

import pytest

from mlmon_sidecar.config import load
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.records import Assumption
from mlmon_sidecar.runtime.assembly import model_plan, watched_models

DAY_NS = 86_400 * 1_000_000_000


def write(path: Path, outcomes: str) -> Path:
    file = path / "mlmon.toml"
    file.write_text(f"[models.m.outcomes]\n{outcomes}\n")
    return file


def test_silence_and_trust_reach_the_hub(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        'assume = { label = "legit", after = "10d" }\ncensor_predicted = ["fraud"]\ntrusted_sources = ["bank"]',
    )
    loaded = load(file)
    plan = model_plan(watched_models(loaded.settings, loaded.origin)[0], loaded.settings)
    assert plan.assumption == Assumption("legit", 10 * DAY_NS, ("fraud",))
    assert plan.label_rule.trusted == {"bank"}
    assert plan.label_rule.horizon_ns == 60 * DAY_NS


def test_without_a_label_silence_means_nothing(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, 'horizon = "30d"'))
    assert model_plan(watched_models(loaded.settings, loaded.origin)[0], loaded.settings).assumption is None


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ('horizon = "30d"\nassume = { label = "x", after = "30d" }', "assume.after must be shorter than horizon"),
        ('censor_predicted = ["fraud"]', "censor_predicted needs assume.label"),
    ],
)
def test_what_cannot_be_meant_is_an_error(tmp_path: Path, outcomes: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(write(tmp_path, outcomes))
