"""Segments of a real server: by a column of the body, and by what its handlers say."""

import csv
from collections import Counter
from pathlib import Path

from runtime_serving import applicants, configure, mlmon, serving

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.store.sqlite import SqliteStore

BASELINE = 'baseline = "loans.json"\nsegments = ["region", "segment"]'


def build(folder: Path) -> Baseline:
    with (folder / "healthy.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["income", "loan", "region", "prediction", "how"])
        for at, row in enumerate(applicants(400)):
            said = "repaid" if at % 2 else "defaulted"
            writer.writerow([row["income"], row["loan"], row["region"], said, "sync" if at % 3 else "async"])
    roles = ["--prediction", "prediction", "--segment", "how"]
    done = mlmon(folder, "baseline", "build", "healthy.csv", "--output", "loans.json", *roles)
    assert done.returncode == 0, done.stderr
    return Baseline.load(folder / "loans.json")


def rows_by_segment(folder: Path, baseline: Baseline) -> Counter[tuple[str, str]]:
    store = SqliteStore(folder / "mlmon.db")
    try:
        panes = store.fleet_panes("loans", 0, 1 << 40)
        panes += [stored.pane for stored in store.open_panes("loans", 1 << 40, 1 << 20)]
    finally:
        store.close()
    found: Counter[tuple[str, str]] = Counter()
    for pane in panes:
        if pane.key.layout == baseline.layout.hash:
            for block in baseline.layout.segment_cells.blocks:
                found[block.dimension, block.value] += int(pane.vector[block.start])
    return +found


def test_rows_are_in_the_segment_of_their_body_and_of_their_handler(tmp_path: Path) -> None:
    configure(tmp_path, models=BASELINE)
    baseline = build(tmp_path)
    asked = applicants(30, seed=3)
    with serving(tmp_path) as served:
        for row in asked:
            served.score(**row)
        for path in ("/annotated", "/annotated-sync", "/annotated"):
            served.score(path, region="north")
        served.score("/annotated", region="elsewhere")
        served.counted(34)
        (model,) = served.status()["models"]
        assert {each["dimension"] for each in model["segments"]} == {"region", "segment"}
        assert not any("segments" in line for line in served.complaints)
    regions = Counter(str(row["region"]) for row in asked) + Counter({"north": 3, "_other": 1})
    expected = Counter({("region", name): count for name, count in regions.items()})
    expected += Counter({("segment", "async"): 3, ("segment", "sync"): 1, ("segment", "_other"): 30})
    assert rows_by_segment(tmp_path, baseline) == expected


def test_a_baseline_that_lacks_a_dimension_is_told_at_the_start(tmp_path: Path) -> None:
    configure(tmp_path, models=BASELINE)
    build(tmp_path)
    configure(tmp_path, models=BASELINE.replace('"segment"]', '"purpose"]'))
    with serving(tmp_path) as served:
        served.score()
        served.counted(1)
        assert [line for line in served.complaints if "its baseline knows no segments by ['purpose']" in line]
