"""A model that predicts sets of classes, from the answer to its figures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
from hub_parts import START, FakeClock
from sklearn.metrics import f1_score, precision_score, recall_score

from mlmon_sidecar.config import load
from mlmon_sidecar.decode.frames import batch_from_columns
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import read_output
from mlmon_sidecar.hub.hub import Hub
from mlmon_sidecar.records import MINUTE_NS, Flush, RedactedRows
from mlmon_sidecar.redact.redactor import Redactor
from mlmon_sidecar.redact.rows import RowRedactor
from mlmon_sidecar.runtime.assembly import model_plan, watched_models
from mlmon_sidecar.store import open_store
from mlmon_sidecar.telemetry import Telemetry
from mlmon_sidecar.web.feedback_items import read_item

NAMES = ("news", "sport", "art", "music")
OPTIONS = DecodeOptions("m", kind="multilabel")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["b", "a", "b"], '["a","b"]'),
        ("a", '["a"]'),
        ([], "[]"),
        ({"labels": 1, "predicted_label": ["x"]}, '["x"]'),
        ([1, 0, 0, 1], '["music","news"]'),
        ([True, False, False, False], '["news"]'),
        ([3, 1], '["1","3"]'),
        ([["a"]], None),
        (None, None),
    ],
)
def test_answers_are_read_as_sets(value: object, text: str | None) -> None:
    assert read_output(value, OPTIONS, NAMES).predicted == text


def test_from_answer_and_label_to_figures(tmp_path: Path) -> None:
    file = tmp_path / "mlmon.toml"
    file.write_text('[models.m.prediction]\nkind = "multilabel"\n')
    loaded = load(file)
    plan = model_plan(watched_models(loaded.settings, loaded.origin)[0], loaded.settings)
    hub = Hub(open_store(f"sqlite:///{tmp_path / 'mlmon.db'}"), [plan], FakeClock(), Telemetry())
    rng = np.random.default_rng(1)
    said, true = rng.random((200, 4)) < 0.4, rng.random((200, 4)) < 0.4
    true = np.where(rng.random((200, 4)) < 0.7, said, true)
    sets = [[name for name, held in zip(NAMES, row, strict=True) if held] for row in said]
    batch = batch_from_columns("m", now_ns=START * MINUTE_NS, options=OPTIONS, features={}, predictions=sets)
    batch = replace(batch, prediction_ids=[f"p{n}" for n in range(200)])
    kept = RowRedactor(Redactor()).redact(batch, frozenset(), [True] * 200).rows
    for seq, rows in ((1, RedactedRows()), (2, kept)):
        hub.flush(Flush("r", seq, (), rows, {}, {}, 0))
    items = [
        {"id": f"p{n}", "label": [name for name, held in zip(NAMES, row, strict=True) if held]}
        for n, row in enumerate(true)
    ]
    receipts = hub.labels([read_item(item, START * MINUTE_NS) for item in items])
    assert {receipt.status for receipt in receipts} == {"accepted"}
    hub.store.join_labels(1_000)
    watermark(hub)
    view = orjson.loads(hub.query("status", {}))["models"][0]["outcome"]
    found = view["sets"]
    assert found["rows"] == 200 and found["exact"] == pytest.approx((said == true).all(axis=1).mean())
    assert view["metric"] == "accuracy" and view["realised"] == pytest.approx(found["exact"])
    for how in ("micro", "macro", "weighted", "samples"):
        for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
            assert found[how][name] == pytest.approx(score(true, said, average=how, zero_division=0), abs=1e-9)
    (news,) = [own for own in found["classes"] if own["name"] == "news"]
    assert news["predicted"] == said[:, 0].sum() and news["recall"] == pytest.approx(
        recall_score(true[:, 0], said[:, 0])
    )
    hub.close()


def watermark(hub: Hub) -> None:
    """The view speaks of the days up to the newest sealed minute."""
    hub.evaluators()[0].watermark = START
