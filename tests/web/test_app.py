from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.web.app import WebOptions, build_web
from mlmon_sidecar.web.tokens import Scope, TokenSet

Hub = Any  # the fakes of conftest.py
Client = Any
READ = "read-token-0123456789"
LABEL = "label-token-0123456789"
JSON = {"content-type": "application/json"}
ITEM = b'{"id":"a","label":"x"}'


def sign_in(client: Client, path: str = "/") -> Any:
    return client.get(f"{path}?token={READ}")


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("path", ["/api/status", "/api/incidents", "/api/series?model=loans&name=requests"])
def test_the_hubs_bytes_pass_unread(client: Client, may_read: dict[str, str], path: str) -> None:
    answer = client.get(path, headers=may_read)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()


def test_series_parameters_reach_the_hub_and_no_others(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    client.get("/api/series?model=loans&name=drift_score&label=car_value&since=17&token=x&evil=1", headers=may_read)
    expected = {"model": "loans", "name": "drift_score", "label": "car_value", "since": "17"}
    assert hub.queries == [("series", expected)]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "parameter_missing"),
        ("model=loans", "parameter_missing"),
        ("model=&name=requests", "parameter_missing"),
        ("model=loans&name=requests&since=-1", "parameter_invalid"),
        ("model=loans&name=requests&since=%D9%A1", "parameter_invalid"),
        (f"model=loans&name={'x' * 201}", "parameter_too_long"),
    ],
)
def test_impossible_series_parameters_are_400(
    client: Client, hub: Hub, may_read: dict[str, str], query: str, code: str
) -> None:
    answer = client.get(f"/api/series?{query}", headers=may_read)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not hub.queries


def test_an_unchanged_status_is_304_until_it_changes(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    first = client.get("/api/status", headers=may_read)
    again = {**may_read, "if-none-match": f'"other", W/{first.headers["etag"]}'}
    unchanged = client.get("/api/status", headers=again)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == first.headers["etag"]
    hub.status_view["generated_at_ms"] += 1
    assert client.get("/api/status", headers=again).status_code == 200


def test_no_hub_is_503_with_code_and_hint(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    hub.away = True
    answer = client.get("/api/status", headers=may_read)
    assert answer.status_code == 503
    assert answer.json()["code"] == "hub_starting"
    assert answer.json()["hint"] == "It answers within seconds."


def test_a_store_that_is_away_is_503_to_be_tried_again(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    hub.broken = StoreError("the store failed", code="store_failed", hint="Check that the database runs.")
    answer = client.get("/api/status", headers=may_read)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "store_failed", "1")
    assert answer.json()["hint"] == "Check that the database runs."


def test_a_fault_of_ours_is_500_without_its_text(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    hub.broken = ValueError("secret payload")
    answer = client.get("/api/status", headers=may_read)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text


def test_hub_calls_leave_the_event_loop(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    import threading

    threads = []
    real = hub.query
    hub.query = lambda path, params: threads.append(threading.current_thread()) or real(path, params)
    client.get("/api/status", headers=may_read)
    assert threads[0] is not threading.main_thread()


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize("path", ["/api/status", "/api/series?model=m&name=n", "/api/incidents", "/"])
def test_reading_without_a_token_is_401(client: Client, hub: Hub, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "token_required"
    assert not hub.queries


@pytest.mark.parametrize(
    "value", ["Bearer", "Bearer ", "Bearer wrong", f"Basic {READ}", READ, f"Bearer {READ}x", "Bearer é"]
)
def test_a_wrong_credential_is_401(client: Client, value: str) -> None:
    assert client.get("/api/status", headers={"authorization": value.encode("latin-1")}).status_code == 401


def test_a_token_of_another_scope_is_403(client: Client, may_label: dict[str, str], may_read: dict[str, str]) -> None:
    assert client.get("/api/status", headers=may_label).status_code == 403
    assert client.post("/feedback", content=ITEM, headers={**may_read, **JSON}).status_code == 403
    assert client.post("/feedback", content=ITEM, headers=JSON).status_code == 401


def test_both_tokens_of_a_rotation_read(hub: Hub, options: WebOptions, browser: Any) -> None:
    both = replace(options, tokens=TokenSet.of({Scope.READ: ["old-token", "new-token"]}))
    client = browser(build_web(hub, both))
    for token, status in (("old-token", 200), ("new-token", 200), ("older-token", 401)):
        assert client.get("/api/status", headers={"authorization": f"bearer {token}"}).status_code == status


# ---------------------------------------------------------------- the page's session


def test_the_token_leaves_the_address_for_a_strict_cookie(client: Client) -> None:
    answer = client.get(f"/?token={READ}&poll=2")
    assert answer.status_code == 303
    assert answer.headers["location"] == "./?poll=2"
    cookie = answer.headers["set-cookie"]
    assert READ not in cookie
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "samesite=strict", "path=/"}
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/api/status").status_code == 200


def test_a_cookie_over_https_is_secure(hub: Hub, options: WebOptions, browser: Any) -> None:
    client = browser(build_web(hub, options), "https://mlmon.internal")
    assert "secure" in sign_in(client).headers["set-cookie"].lower()


@pytest.mark.parametrize("token", ["wrong", "", LABEL])
def test_a_token_that_may_not_read_gets_no_cookie(client: Client, token: str) -> None:
    answer = client.get(f"/?token={token}")
    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers
    assert client.get("/", headers={"accept": "text/html"}).status_code == 401


def test_a_browser_without_session_is_asked_for_the_token(client: Client) -> None:
    answer = client.get("/", headers={"accept": "text/html,*/*"})
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert 'name="token"' in answer.text


def test_the_session_cannot_label(client: Client) -> None:
    sign_in(client)
    answer = client.post("/feedback", content=ITEM, headers=JSON)
    assert answer.status_code == 401
    session = client.cookies["mlmon_session"]
    answer = client.post("/feedback", content=ITEM, headers={**JSON, "authorization": f"Bearer {session}"})
    assert answer.status_code == 401


# ---------------------------------------------------------------- hosts and origins


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:80", "[::1]:8000", "mlmon.internal:8443"])
def test_our_own_hosts_are_answered(client: Client, may_read: dict[str, str], host: str) -> None:
    assert client.get("/api/status", headers={**may_read, "host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "localhost.evil.example", "localhost:80@evil.example", "[::1", "[::1]evil", "",
     "127.0.0.1:80:80", "mlmon.internal."],
)  # fmt: skip
def test_a_foreign_host_is_403_everywhere(client: Client, hub: Hub, may_read: dict[str, str], host: str) -> None:
    for path in ("/", "/api/status", "/assets/page.js", "/nowhere"):
        answer = client.get(path, headers={**may_read, "host": host})
        assert (answer.status_code, answer.json()["code"]) == (403, "host_not_allowed")
    assert not hub.queries


def test_any_host_only_when_asked_for(hub: Hub, options: WebOptions, browser: Any, may_read: dict[str, str]) -> None:
    client = browser(build_web(hub, replace(options, hosts=("*",))))
    assert client.get("/api/status", headers={**may_read, "host": "evil.example"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:3000", "null", "http://localhost:8000.evil"]
)
def test_feedback_from_a_foreign_origin_is_403(
    client: Client, hub: Hub, may_label: dict[str, str], origin: str
) -> None:
    sign_in(client)
    answer = client.post("/feedback", content=ITEM, headers={**may_label, **JSON, "origin": origin})
    assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")
    assert not hub.taken


def test_feedback_from_our_own_origin_is_taken(client: Client, may_label: dict[str, str]) -> None:
    headers = {**may_label, **JSON, "origin": "http://localhost:8000"}
    assert client.post("/feedback", content=ITEM, headers=headers).status_code == 200


# ---------------------------------------------------------------- every answer


def test_every_answer_carries_the_safe_headers(client: Client, hub: Hub, may_read: dict[str, str]) -> None:
    answers = [
        client.get("/", headers=may_read),
        client.get("/"),
        client.get("/assets/page.js"),
        client.get("/nowhere"),
        client.get("/api/status", headers={"host": "evil.example"}),
        client.post("/api/status"),
        sign_in(client),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_no_other_method_changes_anything(client: Client, hub: Hub, may_label: dict[str, str], method: str) -> None:
    answer = client.request(method, "/feedback", content=ITEM, headers={**may_label, **JSON})
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert not hub.taken


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api", "/api/", "/api/labels", "/feedback/", "/assets", "/assets/", "/assets/nothing.js",
     "/assets/../app.py", "/assets/..%2fapp.py", "/assets/%2e%2e/%2e%2e/tokens.py", "/assets/....//app.py",
     "/assets/page.js%00", "/assets//etc/passwd", "/assets/vendor/LICENSE", "/assets/index.html", "/index.html"],
)  # fmt: skip
def test_everything_else_is_404(client: Client, may_read: dict[str, str], path: str) -> None:
    answer = client.get(path, headers=may_read)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


@pytest.mark.parametrize("name", ["page.js", "page.css", "charts.js", "uPlot.iife.min.js", "uPlot.min.css"])
def test_assets_have_types_and_tags(client: Client, name: str) -> None:
    answer = client.get(f"/assets/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript" if name.endswith("js") else "text/css")
    assert client.get(f"/assets/{name}", headers={"if-none-match": answer.headers["etag"]}).status_code == 304


# ---------------------------------------------------------------- below a prefix of an application


@pytest.fixture
def mounted(hub: Hub, options: WebOptions, browser: Any) -> Client:
    """In a host application that has an opinion about errors of its own."""

    async def opinion(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("the host's own words", 418)

    web = build_web(hub, options)
    handlers: Any = {HTTPException: opinion, 404: opinion, Exception: opinion}
    return browser(Starlette(routes=[Mount("/mlmon", app=web)], exception_handlers=handlers))


def test_mounted_routes(mounted: Client, hub: Hub, may_read: dict[str, str], may_label: dict[str, str]) -> None:
    assert mounted.get("/mlmon/api/status", headers=may_read).status_code == 200
    assert mounted.get("/mlmon/assets/page.css").status_code == 200
    assert mounted.post("/mlmon/feedback", content=ITEM, headers={**may_label, **JSON}).json()["accepted"] == 1
    assert mounted.get("/mlmon/nowhere").json()["code"] == "not_found"
    assert mounted.get("/mlmon/api/status").json()["code"] == "token_required"
    assert mounted.get("/mlmon/feedback").json()["code"] == "method_not_allowed"
    hub.broken = ValueError()
    assert mounted.get("/mlmon/api/status", headers=may_read).json()["code"] == "internal_error"


def test_the_mounted_page_and_its_cookie_keep_to_the_prefix(mounted: Client) -> None:
    answer = sign_in(mounted, "/mlmon/")
    assert answer.headers["location"] == "./"
    assert "Path=/mlmon;" in answer.headers["set-cookie"]
    assert mounted.get("/mlmon/").status_code == 200


def test_the_bare_prefix_leads_to_the_page(hub: Hub, options: WebOptions, browser: Any) -> None:
    web = build_web(hub, options)

    async def host(scope: Any, receive: Any, send: Any) -> None:
        await web({**scope, "root_path": "/mlmon"}, receive, send)

    client = browser(host)
    assert client.get("/mlmon").headers["location"] == "mlmon/"
    answer = sign_in(client, "/mlmon")
    assert answer.headers["location"] == "mlmon/"
    assert client.get("/mlmon/").status_code == 200
    assert client.get("/mlmonx").status_code == 404
