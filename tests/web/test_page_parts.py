"""What the page draws of the parts of a model's status, in a real Chromium."""

import os
from typing import Any

import pytest
from full_status import fill_in

try:
    from playwright.sync_api import expect
except ImportError:
    expect = None

Hub = Any
SECTIONS = ("segments", "embeddings", "versions", "outcomes", "textbook")


@pytest.fixture
def full(hub: Hub, hostile: str) -> Hub:
    fill_in(hub.status_view, hostile)
    return hub


@pytest.fixture
def page(watched: Any, address: str, full: Hub) -> Any:
    watch = watched(viewport={"width": 1280, "height": 1000})
    yield watch.open(address)
    assert watch.complaints == []


def row(page: Any, section: str, first: str) -> str:
    """One line of a section's tables, its cells joined by bars."""
    found = page.locator(f"#{section} tbody tr", has=page.locator("th", has_text=first)).first
    return " | ".join(found.locator("th, td").all_inner_texts())


def opened(page: Any, rule: str, number: int = 0) -> Any:
    """The details of an incident by its rule, unfolded."""
    incident = page.locator(".incident", has=page.locator(".what > p", has_text=f"{rule} happened")).nth(number)
    incident.locator("summary").click()
    return incident.locator("details")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_all_parts_fit_and_hostile_names_stay_text(
    watched: Any, address: str, full: Hub, scheme: str, width: int, hostile: str
) -> None:
    watch = watched(color_scheme=scheme, viewport={"width": width, "height": 1000})
    page = watch.open(address)
    for summary in page.locator("summary").all():
        summary.click()
    expect(page.locator(".plot canvas")).to_have_count(7)
    if folder := os.environ.get("MLMON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/parts-{scheme}-{width}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for section in SECTIONS:
        assert hostile in page.inner_text(f"#{section}")
    for rule in ("feature_drift", "version_difference", "joint_drift", "label_drift"):
        incident = page.locator(".incident", has=page.locator(".what > p", has_text=f"{rule} happened"))
        assert hostile in incident.locator("details").inner_text()
    assert page.locator("img").count() == 0
    text = page.inner_text("body")
    assert not any(word in text for word in ("NaN", "null", "undefined", "[object"))
    assert watch.complaints == []


def test_what_is_empty_is_hidden(watched: Any, address: str, hub: Hub) -> None:
    [model] = hub.status_view["models"]
    model |= {"embeddings": [], "textbook": []}
    model["outcome"] |= {"labelled": 0, "realised": None, "estimated": None, "mature": None}
    watch = watched()
    page = watch.open(address)
    assert [name for name in SECTIONS if page.is_visible(f"#{name}")] == []
    assert watch.complaints == []


def test_segments_are_told_with_share_and_verdict(page: Any) -> None:
    first = page.locator("#segments tbody tr").first.inner_text()
    assert "phone" in first  # what is held comes first
    assert "changed: region=phone: car_value" in first
    assert row(page, "segments", "web").startswith("webregion | 31 % | 27 % | 0.30 | 4,000 | no drift")
    assert row(page, "segments", "all others").endswith("the baseline has no rows of it")


def test_embeddings_are_told_as_a_whole(page: Any, hostile: str) -> None:
    assert row(page, "embeddings", "note") == "note | 0.040 | -0.010 | 0.998 | 0.010 | 0.20 | 48,000 | no drift seen"
    assert row(page, "embeddings", hostile).endswith("drifted")


def test_versions_are_told_with_their_quality_and_comparison(page: Any, hostile: str) -> None:
    assert "v19shadow | 901" in row(page, "versions", "v19")
    assert row(page, "versions", "v19").endswith("v18 | – | – | – |  | differs, see incidents")
    assert row(page, "versions", hostile).endswith("no difference seen")
    assert "0.866 | 0.860 to 0.880 | 9,000 | AUC 0.913 | compared with the baseline" in row(page, "versions", "v18")
    assert row(page, "versions", "v17").startswith("v17 | – | – | – | 0.871")  # only labels still speak of it


def test_textbook_rules_that_fire_are_listed(page: Any, hostile: str) -> None:
    assert "2 of 3 figures past their line" in page.inner_text("#textbook")
    assert row(page, "textbook", "mean_shift_2sd") == f"mean_shift_2sd | {hostile} | 2.75 | 2"
    assert "quiet_one" not in page.inner_text("#textbook")


def test_the_naive_figure_is_greyed_with_its_bias(page: Any) -> None:
    naive = page.locator("#outcomes tr.naive")
    assert "0.874" in naive.inner_text()
    assert "0.019 too low for being young" in naive.inner_text()
    quiet = page.locator("#outcomes header .quiet")
    colour = "node => getComputedStyle(node).color"
    assert naive.locator("td").first.evaluate(colour) == quiet.evaluate(colour)
    assert "accuracy, mature labels | 0.891 | 0.884 to 0.898 | 28,100" in row(page, "outcomes", "accuracy, mature")
    assert "over 9 days 0.031 above what labels then said: not to be trusted" in row(page, "outcomes", "estimated")
    told = quiet.inner_text()
    for part in ("64.9 % labelled", "90 % in the end", "72 % of the week", "after 4 days", "other ages than before"):
        assert part in told


def test_a_withheld_mature_figure_has_its_reason(watched: Any, address: str, hub: Hub) -> None:
    hub.status_view["models"][0]["outcome"] |= {
        "mature": None,
        "equal_age": None,
        "bias": None,
        "mature_age_days": None,
    }
    page = watched().open(address)
    assert row(page, "outcomes", "mature labels").endswith("– | – | – | no day's labels are complete yet")
    assert "not known yet" in page.inner_text("#outcomes tr.naive")


def test_numbers_have_the_tolerance_they_are_judged_by(watched: Any, address: str, hub: Hub) -> None:
    hub.status_view["models"][0]["outcome"] |= {"metric": "within_tolerance", "tolerance": 10.375}
    page = watched().open(address)
    assert "0.891 | 0.884 to 0.898 | 28,100" in row(page, "outcomes", "within tolerance, mature")
    assert row(page, "outcomes", "within tolerance, baseline").endswith("errors up to 10.4 are about right")


def test_every_other_figure_of_labels_is_there(page: Any, hostile: str) -> None:
    assert "0.845 | 0.830 to 0.860 | – | labels by their weights, worth 7,001" in row(
        page, "outcomes", "accuracy, weighted"
    )
    assert "0.913 | 0.901 to 0.925 | 31,000" in row(page, "outcomes", "area under the curve")
    assert "0.917" in row(page, "outcomes", "area under the curve, weighted")
    assert "mean absolute error 12.5, bias -1.50 · figures only" in row(page, "outcomes", "region=web")
    assert "12.5 | 12.1 to 12.9 | 300" in row(page, "outcomes", "mean absolute error")
    assert row(page, "outcomes", "mean absolute percentage").endswith("– | – | 300 | every actual value is 0")
    assert "70 % | 60 % to 78 % | 100 | 70 up, 30 down" in row(page, "outcomes", "thumbs up")
    assert row(page, "outcomes", "micro").endswith("0.711 | 0.622 | 0.533 | 5,000 sets, 55.5 % right as a whole")
    assert row(page, "outcomes", hostile) == f"{hostile} | – | 0.444 | 0.000 | 40 | 44"
    assert "0.871 | 0.860 to 0.880 | 9,000" in row(page, "outcomes", "region=web")
    pulled = page.inner_text("#outcomes p.more")
    assert f"812 rows, 800 taken, 12 refused · {hostile}" in pulled


def test_a_drifted_feature_is_drawn(page: Any, hostile: str) -> None:
    details = opened(page, "feature_drift")
    unit = details.locator(".unit").first
    assert unit.locator("svg rect").count() == 5
    heights = [float(rect.get_attribute("height")) for rect in unit.locator("svg rect").all()]
    assert heights == pytest.approx([0, 0, 20, 40, 40])  # shares of their sum, the greatest fills it
    text = unit.inner_text()
    for part in ("in one step", "smallest shift seen (h)", "0.123", "3 · 4 · 5 · 6 · 7.5", "0.314",
                 "above 3 20 % → 50 %: +5 % by another mix, +25 % within segments, most of it in web"):  # fmt: skip
        assert part in text
    assert unit.locator("time").get_attribute("datetime") == "2026-03-03T08:59:00.000Z"
    assert "gradually" in details.locator(".unit").nth(1).inner_text()
    together = details.locator("dt", has_text="together with").locator("xpath=following-sibling::dd[1]").inner_text()
    assert together == f"income, {hostile}"


def test_segments_and_their_mix_are_drawn(page: Any, hostile: str) -> None:
    text = opened(page, "segment_drift", 0).inner_text()
    assert f"region=web: {hostile}" in text
    assert "21 %" in text
    assert "57 %" in text
    shares = opened(page, "segment_drift", 1).locator("tbody tr").all_inner_texts()
    assert next(line.split() for line in shares) == ["web", "20", "%", "45", "%"]


def test_versions_joint_and_embeddings_are_drawn(page: Any) -> None:
    text = opened(page, "version_difference").inner_text()
    for part in ("v19 vs v18", "same hours", "yes", "2 %", "17 %"):
        assert part in text
    assert opened(page, "embedding_drift").locator("svg").count() == 2
    joint = opened(page, "joint_drift")
    assert joint.locator("svg").count() == 1
    assert "goes with" in joint.inner_text()


def test_label_drift_and_the_estimate_are_drawn(page: Any) -> None:
    assert "91 %\t62 %" in opened(page, "label_drift").inner_text()
    text = opened(page, "estimate_drop").inner_text()
    assert "0.934" in text
    assert "15.2 %" in text
