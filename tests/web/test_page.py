"""The page in a real Chromium, served by a real uvicorn below a prefix (conftest.py)."""

import os
from typing import Any

import pytest

try:
    from playwright.sync_api import expect
except ImportError:
    expect = None

Hub = Any  # the fakes of conftest.py
Page = Any
READ = "read-token-0123456789"


def keep(page: Page, name: str) -> None:
    """A picture for people to look at, where ``MLMON_SCREENSHOTS`` names a folder."""
    if folder := os.environ.get("MLMON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_story_is_told_without_a_complaint(
    watched: Any, address: str, scheme: str, width: int, hostile: str
) -> None:
    watch = watched(color_scheme=scheme, viewport={"width": width, "height": 1000})
    page = watch.open(address)
    expect(page.locator(".plot canvas")).to_have_count(7)
    keep(page, f"page-{scheme}-{width}")
    assert page.url == address  # no token
    assert page.title() == "P1 loans — mlmon"
    text = page.inner_text("body")
    assert "loans: 1 P1 and 1 P2 open — predictions are identical since 22:31" in text  # Tokyo
    assert "48,210 requests = 48,102 captured + 108 dropped" in text
    assert "body too large 96 · not json 12" in text
    assert "payload content exported: none" in text
    assert "warming up 212/1000" in text
    assert page.locator("#features tr", has_text="dealer").inner_text().endswith("drifted · values missing")
    expect(page.locator("#tiles")).to_contain_text("3 of 7")
    expect(page.locator("#tiles")).to_contain_text("values missing in 1")
    assert "time runs 1,440 times as fast" in text
    assert page.get_attribute("#state time", "title") == "2026-03-03 13:31:48 UTC"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # The hostile name stands there as text and made no element.
    assert page.locator("#features code", has_text=hostile).count() == 1
    assert page.locator("img").count() == 0
    assert watch.complaints == []
    assert all(asked.startswith(address) or asked.startswith("data:") for asked in watch.addresses)


def test_every_text_of_the_hub_stays_text(watched: Any, address: str, hub: Hub, hostile: str) -> None:
    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item if key in {"layer"} else spoil(item) for key, item in value.items()}
        if isinstance(value, list):
            return [spoil(item) for item in value]
        return hostile if isinstance(value, str) else value

    hub.status_view = spoil(hub.status_view)
    hub.status_view["models"].append({**hub.status_view["models"][0], "name": f"{hostile}2"})
    hub.status_view["counters"]["dropped"] = {hostile: 1}
    hub.status_view["export"]["last"] = {hostile: {"outcome": hostile, "at_ms": 0}}
    watch = watched()
    page = watch.open(address)
    page.wait_for_selector(".plot canvas")
    assert page.locator("img").count() == 0
    assert page.title().startswith("P1 <img")
    assert watch.complaints == []


def test_an_empty_hub_says_why(watched: Any, address: str, hub: Hub) -> None:
    hub.status_view |= {"models": [], "incidents": []}
    watch = watched()
    page = watch.open(address)
    assert "No predictions yet" in page.inner_text("#state")
    assert not page.is_visible("#tiles")
    assert watch.complaints == []


def test_a_model_without_baseline_labels_or_incidents_says_why(
    watched: Any, address: str, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    import orjson

    [model] = hub.status_view["models"]
    model |= {
        "features": [],
        "baseline": None,
        "state": 0,
        "sentence": "loans: watching",
        "reason": "learning 212/1000",
    }
    model["prediction"] |= {
        "mean_score": None,
        "classes": [],
        "confidence_mean": None,
        "reason": "no score is configured",
    }
    model["outcome"] |= dict.fromkeys(("realised", "low", "high", "estimated", "baseline", "coverage"))
    model["outcome"] |= {"labelled": 0, "reason": "needs labels"}
    hub.status_view |= {"incidents": [], "export": {"target": None, "last": {}}}
    real = hub.query
    empty = orjson.dumps({"name": "", "label": "", "t": [], "v": []})
    monkeypatch.setattr(hub, "query", lambda path, params: empty if path == "series" else real(path, params))
    watch = watched()
    page = watch.open(address)
    expect(page.locator(".chart .empty:not([hidden])")).to_have_count(7)
    keep(page, "page-empty")
    body = page.locator("body")
    for why in (
        "learning 212/1000",
        "needs labels",
        "no score is configured",
        "nothing leaves the process",
        "none so far",
    ):
        expect(body).to_contain_text(why)
    text = page.inner_text("body")
    assert "NaN" not in text
    assert "null" not in text
    assert watch.complaints == []


def test_the_page_follows_the_hub_and_says_when_it_cannot(watched: Any, address: str, hub: Hub) -> None:
    watch = watched()
    page = watch.open(address, "&poll=1")
    assert page.url == f"{address}?poll=1"
    [model] = hub.status_view["models"]
    model["sentence"], model["state"] = "loans: recovered", 0
    for incident in hub.status_view["incidents"]:
        incident["resolved_ms"] = incident["resolved_ms"] or hub.status_view["generated_at_ms"]
    expect(page.locator("h1")).to_contain_text("recovered")
    assert page.title() == "OK loans — mlmon"
    hub.away = True
    page.wait_for_selector("#trouble:not([hidden])")
    assert "It answers within seconds." in page.inner_text("#trouble")
    hub.away = False
    page.wait_for_selector("#trouble", state="hidden")
    # Chromium itself reports the 503 answers; nothing else is said.
    assert all("503" in complaint for complaint in watch.complaints)


def test_models_are_chosen_by_keyboard_and_details_stay_open(watched: Any, address: str, hub: Hub) -> None:
    [model] = hub.status_view["models"]
    hub.status_view["models"].append({**model, "name": "fraud", "state": 0, "sentence": "fraud: as in the baseline"})
    watch = watched()
    page = watch.open(address, "&poll=1")
    page.locator("details summary").first.focus()
    page.keyboard.press("Enter")
    hub.status_view["generated_at_ms"] += 60_000
    expect(page.locator("#fresh")).to_contain_text("23:01")
    assert page.locator("details[open]").count() == 1
    page.locator("#models button", has_text="fraud").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("fraud: as in the baseline")
    assert page.evaluate("document.activeElement.textContent.includes('fraud')")
    assert "model=fraud" in page.url
    assert watch.complaints == []


def test_a_browser_without_session_is_asked_to_sign_in(watched: Any, address: str) -> None:
    watch = watched(color_scheme="dark")
    watch.page.goto(address)
    keep(watch.page, "signin")
    watch.page.fill("#token", READ)
    watch.page.click("button")
    watch.page.wait_for_selector("footer section")
    assert READ not in watch.page.url
    (cookie,) = watch.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/mlmon")
    assert all("401" in complaint for complaint in watch.complaints)
