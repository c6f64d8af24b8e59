from __future__ import annotations

from typing import Any

import pytest

from mlmon_sidecar.capture import selection as module
from mlmon_sidecar.capture.selection import DEFAULT_EXCLUDED, Selection, SelectionOptions, app_path
from mlmon_sidecar.errors import ConfigError


def selection(**routes: list[str]) -> Selection:
    return Selection(SelectionOptions(routes))


def test_a_single_model_without_routes_takes_what_posts() -> None:
    chosen = selection(fraud=[])
    assert chosen.match("POST", "/score") == "fraud"
    assert chosen.match("PUT", "/a/b/c") == "fraud"
    assert chosen.match("POST", "/") == "fraud"
    for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PATCH"):
        assert chosen.match(method, "/score") is None


@pytest.mark.parametrize("path", [path for path in DEFAULT_EXCLUDED if "*" not in path])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_probes_and_pages_are_left_out(method: str, path: str) -> None:
    assert selection(fraud=[]).match(method, path) is None
    assert selection(fraud=["POST /**", "GET /*"]).match(method, path) is None


def test_every_probe_of_the_open_inference_protocol_is_left_out() -> None:
    chosen = selection(fraud=["GET /**", "POST /v2/**"])
    assert chosen.match("GET", "/v2/health/live") is None
    assert chosen.match("POST", "/v2/health/ready") is None
    assert chosen.match("GET", "/v2/healthy") == "fraud"


def test_routes_pick_among_models() -> None:
    chosen = selection(fraud=["POST /score", "PUT /score"], churn=["POST /churn/score"])
    assert chosen.match("POST", "/score") == "fraud"
    assert chosen.match("PUT", "/score") == "fraud"
    assert chosen.match("POST", "/churn/score") == "churn"
    assert chosen.match("POST", "/score/") is None
    assert chosen.match("GET", "/score") is None
    assert chosen.match("POST", "/other") is None


@pytest.mark.parametrize(
    ("route", "hits", "misses"),
    [
        ("POST /v1/models/*", ["/v1/models/a"], ["/v1/models", "/v1/models/", "/v1/models/a/b"]),
        (
            "POST /v1/models/*:predict",
            ["/v1/models/a:predict", "/v1/models/b:c:predict"],
            ["/v1/models/a", "/v1/models/:predict", "/v1/models/a/b:predict"],
        ),
        ("POST /v2/**", ["/v2/a", "/v2/a/b", "/v2/"], ["/v2", "/v20/a"]),
        ("POST /*/score", ["/a/score"], ["/score", "/a/b/score", "/a/scores"]),
        ("POST /**", ["/", "/a/b"], []),
    ],
)
def test_wildcards(route: str, hits: list[str], misses: list[str]) -> None:
    chosen = selection(fraud=[route])
    for _ in range(2):  # the second time from the cache
        assert [path for path in hits if chosen.match("POST", path) != "fraud"] == []
        assert [path for path in misses if chosen.match("POST", path) is not None] == []


def test_exact_before_wildcard_and_wildcards_in_order() -> None:
    chosen = selection(all=["POST /**"], one=["POST /one"], late=["POST /late/*"])
    assert chosen.match("POST", "/one") == "one"
    assert chosen.match("POST", "/late/x") == "all"


def test_a_literal_route_wins_over_an_exclusion() -> None:
    chosen = selection(insurance=["POST /health", "post /metrics"])
    assert chosen.match("POST", "/health") == "insurance"
    assert chosen.match("POST", "/metrics") == "insurance"
    assert chosen.match("GET", "/health") is None


def test_own_exclusions() -> None:
    chosen = Selection(SelectionOptions({"fraud": []}, excluded=("/admin/**",)))
    assert chosen.match("POST", "/admin/reload") is None
    assert chosen.match("POST", "/health") == "fraud"


def test_the_cache_stays_bounded_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = selection(fraud=["POST /v1/*"])
    for number in range(3 * module.CACHED_PATHS):
        assert chosen.match("POST", f"/v1/{number}") == "fraud"
        assert chosen.match("POST", f"/v3/{number}") is None
    assert len(chosen._known["POST"]) <= module.CACHED_PATHS
    size = len(chosen._known["POST"])
    assert chosen.match("POST", "/v1/" + "x" * module.CACHED_PATH_LENGTH) == "fraud"
    assert len(chosen._known["POST"]) == size
    chosen.match("POST", "/v1/again")
    monkeypatch.setattr(chosen, "_search", None)  # what is cached is not searched for again
    assert chosen.match("POST", "/v1/again") == "fraud"


@pytest.mark.parametrize(
    ("routes", "code"),
    [
        ({}, "no_model"),
        ({"a": [], "b": ["POST /b"]}, "routes_missing"),
        ({"a": ["/score"]}, "bad_route"),
        ({"a": ["POST score"]}, "bad_route"),
        ({"a": ["POST  /score"]}, "bad_route"),
        ({"a": ["POST /score?x=1"]}, "bad_route"),
        ({"a": ["HEAD /score"]}, "bad_route"),
        ({"a": ["OPTIONS /score"]}, "bad_route"),
        ({"a": ["POST /a/**/b"]}, "bad_route"),
        ({"a": ["POST /a*b*c"]}, "bad_route"),
        ({"a": ["POST /score"], "b": ["POST /score"]}, "bad_route"),
    ],
)
def test_impossible_routes_say_what_to_do(routes: dict[str, list[str]], code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Selection(SelectionOptions(routes))
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"path": "/score"}, "/score"),
        ({"path": "/score", "root_path": ""}, "/score"),
        ({"path": "/api/score", "root_path": "/api"}, "/score"),
        ({"path": "/api/score", "root_path": "/api/"}, "/score"),
        ({"path": "/api", "root_path": "/api"}, "/"),
        ({"path": "/score", "root_path": "/api"}, "/score"),
        ({"path": "/apis/score", "root_path": "/api"}, "/apis/score"),
        ({"path": "/score", "root_path": None}, "/score"),
    ],
)
def test_the_path_as_the_application_sees_it(scope: dict[str, Any], expected: str) -> None:
    assert app_path(scope) == expected
