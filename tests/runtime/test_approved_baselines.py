"""A baseline is given to a service that runs without one: it counts by it minutes later, in every worker."""

import json
import time
from pathlib import Path

from runtime_serving import Served, applicants, build_baseline, configure, eventually, mlmon, serving

ROWS = applicants(400)


def watched_features(served: Served) -> list[str]:
    for row in ROWS[:10]:
        served.score(**row)
    (model,) = served.status()["models"]
    return [feature["name"] for feature in model["features"] if feature["rows"]]


def test_a_pushed_and_approved_baseline_counts_in_every_worker(tmp_path: Path) -> None:
    configure(tmp_path, head=f"clock_scale = 60\nclock_anchor = {time.time()}")  # a minute is a second
    baseline = build_baseline(tmp_path, ROWS, "later.json")
    with serving(tmp_path, "monitored", "--workers", "2") as served:
        assert watched_features(served) == []
        proposed = json.loads(mlmon(tmp_path, "baseline", "push", str(baseline), "--json").stdout)
        assert (proposed["state"], proposed["model"], proposed["rows"]) == ("proposed", "loans", 400)
        listed = json.loads(mlmon(tmp_path, "baseline", "list", "--json").stdout)["baselines"]
        assert [held["baseline"] for held in listed] == [proposed["baseline"]]
        approved = mlmon(tmp_path, "baseline", "approve", proposed["baseline"])
        assert approved.returncode == 0, approved.stderr
        assert "is active from" in approved.stdout
        found = eventually(lambda: watched_features(served), bool)
        assert found == ["income", "loan", "region"]
    with serving(tmp_path) as served:  # it stands after a restart
        assert eventually(lambda: watched_features(served), bool) == ["income", "loan", "region"]


def test_a_baseline_of_another_model_is_refused_by_the_hub_and_by_a_store_at_rest(tmp_path: Path) -> None:
    (tmp_path / "cars").mkdir()
    cars = configure(tmp_path / "cars")
    cars.write_text(cars.read_text().replace("models.loans", "models.cars"))
    baseline = build_baseline(tmp_path / "cars", ROWS)
    configure(tmp_path)

    def push() -> str:
        refused = mlmon(tmp_path, "baseline", "push", str(baseline))
        assert refused.returncode != 0
        return " ".join(refused.stderr.split())

    with serving(tmp_path) as served:
        served.score()
        served.counted(1)
        assert "configured here: loans" in push()
    assert "configured here: loans" in push()
