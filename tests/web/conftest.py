"""A hub that answers the documented shapes with a believable day: what the page and the routes are driven with."""

import asyncio
import math
import os
import random
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from mlmon_sidecar.errors import HubUnavailable
from mlmon_sidecar.hub.view import SERIES, FeatureView, IncidentView, ModelView, StatusView
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.records import Flush, FlushReceipt, Label, LabelReceipt, LabelStatus
from mlmon_sidecar.web.app import WebOptions, build_web
from mlmon_sidecar.web.tokens import Scope, TokenSet

try:
    from playwright.sync_api import sync_playwright
except ImportError:
    sync_playwright = None

NOW_MS = 1_772_546_400_000  # 2026-03-03T14:00:00Z
HOUR_MS = 3_600_000
LABEL_TOKEN = "label-token-0123456789"
READ_TOKEN = "read-token-0123456789"
HOSTILE = '<img src=x onerror="document.title=1">'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip


class FixedClock:
    def monotonic_ns(self) -> int:
        return 0

    def unix_ns(self) -> int:
        return NOW_MS * 1_000_000

    def unix_at(self, monotonic_ns: int) -> int:
        return self.unix_ns() + monotonic_ns


class FakeHub:
    """Answers ``status_view`` and takes labels: an id that begins with ``later`` is pending."""

    def __init__(self) -> None:
        self.status_view = status()
        self.taken: dict[str, Label] = {}
        self.queries: list[tuple[str, dict[str, str]]] = []
        self.away = False
        self.broken: Exception | None = None

    def flush(self, flush: Flush) -> FlushReceipt:
        raise AssertionError("the web face flushes nothing")

    def close(self) -> None:
        raise AssertionError("the hub belongs to the runtime")

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        self._answering()
        return [self._take(label) for label in labels]

    def _take(self, label: Label) -> LabelReceipt:
        before = self.taken.get(label.id)
        self.taken[label.id] = label
        if before is not None:
            same = before.label == label.label
            return LabelReceipt(label.id, LabelStatus.DUPLICATE if same else LabelStatus.CORRECTED)
        pending = label.id.startswith("later")
        return LabelReceipt(label.id, LabelStatus.PENDING if pending else LabelStatus.ACCEPTED)

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        self._answering()
        self.queries.append((path, dict(params)))
        if path == "series":
            return orjson.dumps(series(params["name"], params.get("label", "")))
        return orjson.dumps(self.status_view if path == "status" else {"incidents": self.status_view["incidents"]})

    def _answering(self) -> None:
        if self.away:
            raise HubUnavailable("no hub", code="hub_starting", hint="It answers within seconds.")
        if self.broken:
            raise self.broken


def feature(name: str, evidence: float | None, **more: Any) -> FeatureView:
    numeric = more.pop("kind", "numeric") == "numeric"
    view: FeatureView = {
        "name": name, "kind": "numeric" if numeric else "categorical", "evidence": evidence,
        "drift": None if evidence is None else evidence / 9,
        "method": "ks" if numeric else "hellinger", "missing": 0.002,
        "out_of_range": 0.0 if numeric else None, "unseen": None if numeric else 0.001, "rows": 48_210,
        "held": False, "missing_held": False, "reason": "",
    }  # fmt: skip
    return {**view, **more}  # type: ignore[typeddict-item]  # the keywords are keys of the view


def incident(tier: int, rule: str, layer: str, opened: float, resolved: float | None, summary: str) -> IncidentView:
    """``opened`` and ``resolved`` in hours before now."""
    return {
        "key": f"loans/{rule}/{opened}", "model": "loans", "rule": rule, "layer": layer,
        "tier": tier,  # type: ignore[typeddict-item]  # 1, 2 or 3 in this file
        "opened_ms": NOW_MS - int(opened * HOUR_MS), "summary": summary, "evidence": 4.2 - tier,
        "resolved_ms": None if resolved is None else NOW_MS - int(resolved * HOUR_MS),
        "features": ["car_value", "salary_range"] if rule == "feature_drift" else [], "details": {"rows": 1200},
    }  # fmt: skip


def model() -> ModelView:
    return {
        "name": "loans",
        "versions": [
            {
                "version": "v18",
                "rows": 48_102,
                "last_minute": NOW_MS // 60_000,
                "compared_with": "",
                "shadow": False,
            }
        ],
        "layout": "3f9a1c77d20b4e11",
        "state": 1,
        "sentence": "loans: 1 P1 and 1 P2 open — predictions are identical",
        "watermark_minute": NOW_MS // 60_000 - 1,
        "window": {"hours": 24, "requests": 48_210, "rows": 48_102, "errors": 37, "error_ratio": 37 / 48_210,
                   "p50_ms": 4.1, "p95_ms": 11.6},
        "baseline": {"version": "v17", "rows": 30_000, "age_days": 34.2},
        "reason": "",
        "features": [
            feature("car_value", 1.62),
            feature("dealer", 0.31, kind="categorical", held=True, missing_held=True),
            feature("salary_range", 1.18, kind="categorical"),
            feature("loan_length", 0.74),
            feature("debt_to_income_ratio", 0.21, missing=0.18, reason="missing 18 % against 0.3 % in the baseline"),
            feature("repaid_loan_on_prev_car", 0.12, kind="categorical"),
            feature("size_of_downpayment", None, kind="categorical", drift=None, reason="warming up 212/1000"),
            feature("driver_tenure", None, reason="constant column"),
            feature(HOSTILE, 0.05, kind="categorical"),
        ],
        "segments": [],
        "embeddings": [{"name": "note", "rows": 48_000, "cluster_tv": 0.04, "distance_ks": -0.01,
                        "centroid_cosine": 0.998, "mmd": 0.01, "evidence": 0.2, "held": False, "reason": ""}],
        "prediction": {"kind": "binary", "mean_score": 0.534, "confidence_mean": 0.871, "drift": 0.091,
                       "evidence": 0.83,
                       "classes": [{"name": "repaid", "ratio": 0.61, "reference_ratio": 0.52},
                                   {"name": "default", "ratio": 0.39, "reference_ratio": 0.48}], "reason": ""},
        "textbook": [{"rule": "ks_p_value", "name": "car_value", "value": 0.001, "threshold": 0.05, "fires": True}],
        "outcome": {"metric": "accuracy", "realised": 0.874, "low": 0.861, "high": 0.886,
                    "mature": {"value": 0.891, "low": 0.884, "high": 0.898, "labelled": 28_100, "cohorts": 7},
                    "tolerance": None, "equal_age": 0.872, "bias": -0.019, "estimated": 0.868, "estimated_low": 0.859,
                    "estimated_high": 0.877, "estimate_note": "", "estimate_check": None,
                    "baseline": 0.934, "labelled": 31_240, "coverage": 0.649, "expected_coverage": 0.9,
                    "maturity": 0.72, "mature_age_days": 4, "delay_moved": False, "versions": [], "segments": [],
                    "classes": None, "scores": None, "answers": None, "errors": None, "ratings": None, "sets": None,
                    "weighted": None, "reason": ""},
        "pull": None,
    }  # fmt: skip


def status() -> StatusView:
    return {
        "generated_at_ms": NOW_MS, "clock_scale": 1440.0,
        "hub": {"role": "embedded", "pid": 4711, "store": "sqlite:///mlmon.db", "schema": 1, "recorders": [
            {"id": "0192f0a1-aaaa-7000-8000-000000000001", "pid": 4711, "host": "serving-1", "last_seq": 8121,
             "lost": 0, "seen_ms_ago": 412},
            {"id": "0192f0a1-aaaa-7000-8000-000000000002", "pid": 4712, "host": "serving-1", "last_seq": 8090,
             "lost": 1, "seen_ms_ago": 12_400}]},
        "models": [model()],
        "incidents": [
            incident(1, "identical_predictions", "prediction", 0.47, None, "predictions are identical (1,204 rows)"),
            incident(2, "feature_drift", "data", 6.2, None, "car_value and salary_range left the baseline"),
            incident(2, "missing_values", "data", 9.5, 8.1, "debt_to_income_ratio is missing in 18 % of rows (0.3 %)"),
            incident(3, "quality_estimate", "outcome", 14.0, 11.5, "estimated accuracy fell to 86.8 % (93.4 %)"),
            incident(3, "error_ratio", "infrastructure", 20.0, 19.4, "1.9 % of requests ended with a server error"),
        ],
        "counters": {"requests": 48_210, "captured": 48_102, "dropped": {"body_too_large": 96, "not_json": 12},
                     "rows": 48_102, "stored": 48_102},
        "export": {"target": "http://localhost:4318", "last": {
            "metrics": {"outcome": "ok", "at_ms": NOW_MS - 4_000}, "traces": {"outcome": "ok", "at_ms": NOW_MS - 9_000},
            "logs": {"outcome": "timeout", "at_ms": NOW_MS - 61_000}}},
        "privacy": "payload content exported: none",
    }  # fmt: skip


def series(name: str, label: str) -> dict[str, Any]:
    """24 hours: a daily wave, a drift in the last quarter, a gap, a collapse at the end. Unknown names are empty."""
    if name not in SERIES:
        return {"name": name, "label": label, "t": [], "v": []}
    step = 24 * HOUR_MS // 96 if name in {"requests", "errors", "p95_ms", "score_mean", "confidence_mean"} else HOUR_MS
    times = list(range(NOW_MS - 24 * HOUR_MS, NOW_MS, step))
    noise = random.Random(f"{name}{label}")
    shift = {"car_value": 1.5, "salary_range": 1.0, "loan_length": 0.6}.get(label, 0.1)
    values: list[float | None] = []
    for number in range(len(times)):
        part = number / len(times)
        wave = math.sin(part * 2 * math.pi - 2)
        late = max(0.0, part - 0.7) / 0.3
        values.append(
            {
                "requests": 34 + 18 * wave + noise.gauss(0, 2),
                "errors": max(0.0, noise.gauss(0, 0.6)) + (3 if 0.16 < part < 0.2 else 0),
                "p95_ms": 11 + 3 * wave + abs(noise.gauss(0, 1.2)),
                "score_mean": 0.534 if part > 0.97 else 0.5 + 0.03 * wave + noise.gauss(0, 0.01),
                "confidence_mean": 0.88 - 0.03 * late + noise.gauss(0, 0.006),
                "drift_evidence": 0.08 + shift * late + abs(noise.gauss(0, 0.02)),
                "drift_score": 0.02 + shift * late / 9,
                "class_ratio": (0.52 + 0.1 * late) if label == "repaid" else (0.48 - 0.1 * late),
                "accuracy": None if part > 0.8 else 0.934 - 0.05 * part + noise.gauss(0, 0.003),
                "accuracy_estimated": 0.934 - 0.055 * part + noise.gauss(0, 0.002),
                "coverage": max(0.0, 0.95 - 0.5 * part),
            }[name]
        )
    return {"name": name, "label": label, "t": times, "v": values}


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def options() -> WebOptions:
    tokens = TokenSet.of({Scope.LABEL: [LABEL_TOKEN], Scope.READ: [READ_TOKEN]})
    return WebOptions(tokens=tokens, clock=FixedClock(), hosts=("mlmon.internal",))


class Browser:
    """Asks an ASGI application in this process, keeps cookies and follows no redirect."""

    def __init__(self, app: ASGIApp, base_url: str = "http://localhost:8000") -> None:
        self._app = app
        self._base_url = base_url
        self.cookies = httpx.Cookies()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=self._base_url, cookies=self.cookies) as http:
                answer = await http.request(method, path, **options)
                self.cookies = http.cookies
                return answer

        return asyncio.run(ask())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


@pytest.fixture
def browser() -> type[Browser]:
    return Browser


@pytest.fixture
def client(hub: HubClient, options: WebOptions) -> Browser:
    """The web face alone, as ``mlmon hub`` serves it."""
    return Browser(build_web(hub, options))


@pytest.fixture
def may_label() -> dict[str, str]:
    return {"authorization": f"Bearer {LABEL_TOKEN}"}


@pytest.fixture
def may_read() -> dict[str, str]:
    return {"authorization": f"Bearer {READ_TOKEN}"}


@pytest.fixture
def hostile() -> str:
    """The name of one feature that the fake hub reports."""
    return HOSTILE


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None or sync_playwright is None:
        reason = "needs playwright and a chromium on the PATH (Debian: apt-get install chromium)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield browser
        browser.close()


@pytest.fixture
def address(hub: FakeHub, options: WebOptions) -> Iterator[str]:
    app = Starlette(routes=[Mount("/mlmon", app=build_web(hub, options))])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/mlmon/"
    server.should_exit = True
    thread.join()
    listener.close()


class Watched:
    """A page, and everything it complained about."""

    def __init__(self, chromium: Any, **context: Any) -> None:
        self.context = chromium.new_context(timezone_id="Asia/Tokyo", locale="en-GB", **context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.addresses: list[str] = []

    def open(self, address: str, query: str = "") -> Any:
        self.page.goto(f"{address}?token={READ_TOKEN}{query}")
        self.page.wait_for_selector("footer section")
        return self.page


@pytest.fixture
def watched(chromium: Any) -> Iterator[Any]:
    made: list[Watched] = []

    def make(**context: Any) -> Watched:
        made.append(Watched(chromium, **context))
        return made[-1]

    yield make
    for each in made:
        each.context.close()
