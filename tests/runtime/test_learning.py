"""A baseline from served traffic: what is taken for normal, what is not, and that it is the one a file would give."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from runtime_serving import Served, configure, eventually, mlmon, serving

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.errors import BaselineError, StoreError
from mlmon_sidecar.records import MINUTE_NS, Flush, Incident, KeptRow, KeptRows, Label, Layer, RedactedRows, Tier
from mlmon_sidecar.runtime.baselines import build_baseline
from mlmon_sidecar.runtime.learning import learn_baseline
from mlmon_sidecar.store.sqlite import SqliteStore

HOURS, AN_HOUR = 30, 60
ROWS = 1_500


def stored_service(folder: Path, rows: int = ROWS, hours: float = HOURS) -> dict[str, list[object]]:
    """A store of kept rows that end now, with labels for every other one; the same as columns."""
    config = folder / "mlmon.toml"
    config.write_text(f"store = 'sqlite:///{folder}/mlmon.db'\n[models.loans]\nroutes = ['POST /score']\n")
    rng, now = np.random.default_rng(3), time.time_ns()
    times = np.sort(now - (rng.uniform(0, hours, rows) * AN_HOUR * MINUTE_NS).astype(np.int64))
    times[0], times[-1] = now - int(hours * AN_HOUR * MINUTE_NS), now
    income, town = rng.lognormal(10, 0.5, rows).round(2), rng.choice(["N", "S"], rows)
    score = rng.uniform(size=rows).round(6)
    said = np.where(score >= 0.5, "yes", "no")
    ids = [f"{at:08x}-0000-7000-8000-{rng.integers(1 << 47):012x}" for at in range(rows)]
    kept = [
        KeptRow(ids[at], "loans", "v3", "gold" if at % 4 else "", int(times[at]), float(score[at]), str(said[at]), None,
                None, "", "", json.dumps({"income": float(income[at]), "town": str(town[at])}))
        for at in range(rows)
    ]  # fmt: skip
    store = SqliteStore(folder / "mlmon.db")
    store.take_over()
    store.commit_flush(Flush("r", 1, (), RedactedRows(KeptRows.of(kept)), {}, {}, 0), now)
    labels = [Label(ids[at], "yes" if at % 3 else "no", now) for at in range(0, rows, 2)]
    store.commit_labels(labels, now)
    while store.join_labels(2_000):
        pass
    store.close()
    labelled: list[object] = [("yes" if at % 3 else "no") if at % 2 == 0 else None for at in range(rows)]
    return {
        "income": income.tolist(), "town": town.tolist(), "time": times.tolist(), "score": score.tolist(),
        "said": said.tolist(), "label": labelled,
        "plan": ["gold" if at % 4 else None for at in range(rows)],
    }  # fmt: skip


def as_counted(baseline: Baseline) -> Mapping[str, object]:
    reference = baseline.reference
    return {
        "layout": baseline.layout.hash, "counts": reference.vector.tolist(), "hours": reference.hours,
        "confusion": reference.confusion, "rows": baseline.rows,
    }  # fmt: skip


def test_equal_to_the_baseline_of_the_same_rows_in_a_table(tmp_path: Path) -> None:
    columns = stored_service(tmp_path)
    learned = learn_baseline(tmp_path / "mlmon.toml")
    built = build_baseline(
        columns, config=tmp_path / "mlmon.toml", timestamp="time", prediction="said", score="score", label="label",
        segment="plan",
    )  # fmt: skip
    assert as_counted(learned) == as_counted(built)
    assert (learned.rows, learned.source, learned.reference.version) == (ROWS, "served traffic", "v3")
    assert {feature.name for feature in learned.layout.features} == {"income", "town"}


def test_segments_are_those_that_were_kept(tmp_path: Path) -> None:
    stored_service(tmp_path)
    with (tmp_path / "mlmon.toml").open("a") as config:
        config.write("segments = ['town', 'segment']\n")
    learned = learn_baseline(tmp_path / "mlmon.toml")
    vector, said = learned.reference.vector, learned.layout.segment_cells.of("segment")
    rows = {block.value: int(vector[block.start]) for block in said}
    assert [dimension.name for dimension in learned.layout.segments.dimensions] == ["town", "segment"]
    assert rows == {"gold": ROWS * 3 // 4, "_other": ROWS // 4}


def test_proposed_by_the_command_and_counted_by_nobody_yet(tmp_path: Path) -> None:
    stored_service(tmp_path)
    done = mlmon(tmp_path, "baseline", "learn", "--config", "mlmon.toml", "--json")
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout)
    assert (held["state"], held["origin"], held["rows"], held["from_minute"]) == ("proposed", "learned", ROWS, 0)


@pytest.mark.parametrize(
    ("rows", "hours", "code"), [(999, HOURS, "learn_rows"), (ROWS, 23, "learn_span")], ids=["few", "short"]
)
def test_too_little_is_not_taken_for_normal(tmp_path: Path, rows: int, hours: float, code: str) -> None:
    stored_service(tmp_path, rows, hours)
    with pytest.raises(BaselineError) as refused:
        learn_baseline(tmp_path / "mlmon.toml")
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("tier", "ended_hours_ago", "refused"), [(Tier.P2, 2, True), (Tier.P2, 40, False), (Tier.P3, 2, False)]
)
def test_time_with_an_urgent_incident_is_not_healthy(
    tmp_path: Path, tier: Tier, ended_hours_ago: int, refused: bool
) -> None:
    stored_service(tmp_path)
    store, now = SqliteStore(tmp_path / "mlmon.db"), time.time_ns() // MINUTE_NS
    store.take_over()
    opened = now - 50 * AN_HOUR
    incident = Incident(
        key="k", model="loans", rule="quality_drop", layer=Layer.OUTCOME, tier=tier, opened_minute=opened,
        resolved_minute=now - ended_hours_ago * AN_HOUR, summary="accuracy fell", evidence=1.0, features=(),
        provisional=False, details={"waiting": []},
    )  # fmt: skip
    store.write_incidents([(incident, "opened", opened)])
    store.close()
    if not refused:
        assert learn_baseline(tmp_path / "mlmon.toml").rows == ROWS
        return
    with pytest.raises(BaselineError, match="accuracy fell"):
        learn_baseline(tmp_path / "mlmon.toml")


def test_no_store_is_made_by_looking_for_one(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text(f"store = 'sqlite:///{tmp_path}/mlmon.db'\n")
    with pytest.raises(StoreError):
        learn_baseline(tmp_path / "mlmon.toml")
    assert not (tmp_path / "mlmon.db").exists()


def state_of(folder: Path) -> list[str]:
    done = mlmon(folder, "baseline", "list", "--config", "mlmon.toml", "--json")
    return [held["state"] for held in json.loads(done.stdout)["baselines"]]


def with_an_open_incident_and_a_baseline(folder: Path) -> None:
    """Of incomes that were lower; the incident is the drift that is to be accepted."""
    columns = stored_service(folder)
    config = folder / "mlmon.toml"
    lower = {"income": [float(str(value)) / 3 for value in columns["income"]], "town": columns["town"]}
    build_baseline(lower, config=config).save(folder / "before.json")
    config.write_text(config.read_text() + f"baseline = '{folder}/before.json'\n")
    store, now = SqliteStore(folder / "mlmon.db"), time.time_ns() // MINUTE_NS
    store.take_over()
    incident = Incident(
        key="k", model="loans", rule="feature_drift", layer=Layer.DATA, tier=Tier.P2, opened_minute=now - 60,
        resolved_minute=None, summary="income moved up", evidence=2.0, details={"waiting": ["income"]},
    )  # fmt: skip
    store.write_incidents([(incident, "opened", now - 60)])
    store.close()


def test_the_new_normal_is_accepted_with_a_look_at_what_changes(tmp_path: Path) -> None:
    with_an_open_incident_and_a_baseline(tmp_path)
    refused = mlmon(tmp_path, "baseline", "learn", "--config", "mlmon.toml")
    assert refused.returncode != 0
    assert "was not healthy" in refused.stderr
    done = mlmon(tmp_path, "baseline", "learn", "--accept", "--yes", "--config", "mlmon.toml", "--json")
    assert done.returncode == 0, done.stderr
    held = json.loads(done.stdout)
    assert (held["state"], held["origin"]) == ("active", "learned")
    (line,) = [line for line in done.stderr.splitlines() if "income" in line]
    distance = float(next(word for word in line.replace("│", " ").split() if word.startswith("0.")))
    assert distance > 0.5
    assert state_of(tmp_path) == ["active"]


def test_the_new_normal_that_nobody_confirms_stays_a_proposal(tmp_path: Path) -> None:
    with_an_open_incident_and_a_baseline(tmp_path)
    done = mlmon(tmp_path, "baseline", "learn", "--accept", "--config", "mlmon.toml")  # nobody is there to answer
    assert done.returncode != 0
    assert "Is this the new normal?" in done.stderr
    assert state_of(tmp_path) == ["proposed"]


def test_a_file_and_the_new_normal_are_not_asked_for_together(tmp_path: Path) -> None:
    stored_service(tmp_path)
    done = mlmon(tmp_path, "baseline", "learn", "--accept", "--output", "b.json", "--config", "mlmon.toml")
    assert done.returncode == 2
    assert not (tmp_path / "b.json").exists()


def test_a_service_without_a_baseline_proposes_one_by_itself(tmp_path: Path) -> None:
    config = configure(tmp_path, head=f"clock_scale = 3600\nclock_anchor = {time.time()}")  # an hour is a second
    config.write_text(config.read_text() + "[models.loans.learning]\nmin_rows = 100\nmin_span = '2h'\n")
    with serving(tmp_path) as served:
        served.score()
        assert eventually(lambda: reason_of(served), lambda said: said.startswith("learning ")).endswith("/100")
        for _ in range(150):
            served.score()

        def proposed() -> str:
            served.score()
            return reason_of(served)

        said = eventually(proposed, lambda said: "waits" in said)
        (held,) = json.loads(mlmon(tmp_path, "baseline", "list", "--json").stdout)["baselines"]
        assert (held["state"], held["origin"]) == ("proposed", "learned")
        assert f"`mlmon baseline approve {held['baseline']}`" in said
        assert any("a learned baseline of model loans waits for approval" in line for line in served.complaints)


def reason_of(served: Served) -> str:
    (model,) = served.status()["models"]
    said: str = model["reason"]
    return said
