"""The web face of a hub: feedback, status API and page. Below a prefix of the user's application, or served alone."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlencode

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from mlmon_sidecar.errors import FeedbackError, HubUnavailable, StoreError
from mlmon_sidecar.export.prometheus import CONTENT_TYPE
from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.web import access
from mlmon_sidecar.web.answers import COMMON_HEADERS, NO_STORE, Refusal, json_response, tagged
from mlmon_sidecar.web.assets import Asset, load_assets
from mlmon_sidecar.web.feedback import Caller, Taker
from mlmon_sidecar.web.feedback_bodies import MAX_BODY_BYTES, reader_of
from mlmon_sidecar.web.quota import Quota
from mlmon_sidecar.web.signature import SIGNATURE_HEADER, check_signature
from mlmon_sidecar.web.tokens import Scope as TokenScope
from mlmon_sidecar.web.tokens import TokenSet

logger = logging.getLogger("mlmon_sidecar")

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

HUB_CALLS_AT_ONCE = 4  # threads of our own: the host's sync handlers keep all of theirs
PIECE_BYTES = 256 * 1024  # of a streamed body, taken in at once
MAX_PARAMETER = 200  # characters
QUERIES = {"status": (), "incidents": (), "series": ("model", "name", "label", "since")}

_limiter: RunVar[CapacityLimiter] = RunVar("mlmon_hub_calls")


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What the runtime decides about the web face. Nothing is to be mounted when ``tokens.empty``."""

    tokens: TokenSet
    clock: Clock
    metrics: Callable[[], bytes] | None = None  # one scrape, from any thread; None: there is no such page
    hosts: tuple[str, ...] = ()  # besides localhost, 127.0.0.1 and [::1]; without port; "*": any
    signing_keys: tuple[str, ...] = ()  # feedback must be signed with one of them; (): need not be
    labels_per_minute: int | None = None  # of one source; None: no limit


def build_web(hub: HubClient, options: WebOptions) -> ASGIApp:
    """The ASGI application. Paths are relative to the scope's ``root_path``."""
    site = _Site(hub, options)
    rules = partial(_Endpoint, hosts=options.hosts)
    page = rules(site.page, methods=("GET", "HEAD"))
    reads = [
        Route(f"/api/{path}", rules(partial(site.read, path, names), methods=("GET", "HEAD")))
        for path, names in QUERIES.items()
    ]
    routes = [
        Route("/feedback", rules(site.feedback, methods=("POST",))),
        *reads,
        Route("/assets/{file}", rules(site.asset, methods=("GET", "HEAD"))),
        Route("/", page),
    ]
    if options.metrics is not None:
        routes.append(Route("/metrics", rules(partial(site.metrics, options.metrics), methods=("GET", "HEAD"))))
    router = Router(routes, redirect_slashes=False, default=rules(_nothing_here, methods=None))

    async def web(scope: Scope, receive: Receive, send: Send) -> None:
        # The bare prefix ("/mlmon") is no route of the router's; the page sends the browser on to "/mlmon/".
        bare = scope["type"] == "http" and scope["path"] == scope.get("root_path", "") != ""
        await (page if bare else router)(scope, receive, send)

    return web


class _Endpoint:
    """One route: from request to response, with the rules that hold for every answer.

    A class, so that starlette leaves methods and exceptions to us: the host's own error handlers must not see ours.
    """

    def __init__(self, handler: Handler, *, methods: tuple[str, ...] | None, hosts: tuple[str, ...]) -> None:
        self._handler = handler
        self._methods = methods
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose()(scope, receive, send)
            return
        response = await self._answer(Request(scope, receive))
        response.headers.update(COMMON_HEADERS)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            access.check_host(request, self._hosts)
            if self._methods and request.method not in self._methods:
                raise Refusal(405, "method_not_allowed", "The method is not allowed", allow=", ".join(self._methods))
            return await self._handler(request)
        except Refusal as refusal:
            return refusal.response()
        except FeedbackError as error:
            return Refusal(409, error.code, "The request is refused", error.hint).response()
        except (HubUnavailable, StoreError) as error:  # the store may be a database that is away for a moment
            hint = error.hint or "Try again; nothing was lost and nothing was acknowledged."
            title = "No hub answers" if isinstance(error, HubUnavailable) else "The store cannot be used"
            return Refusal(503, error.code, title, hint, retry_after="1").response()
        except ClientDisconnect:
            return Refusal(400, "body_cut_off", "The client went away").response()
        except Exception as error:  # The host's error handlers and reports are not for our faults.
            logger.warning("mlmon: a web request failed with %s", type(error).__name__)
            logger.debug("mlmon: a web request failed", exc_info=error)
            return Refusal(500, "internal_error", "The monitor failed; the application is not affected").response()


class _Site:
    def __init__(self, hub: HubClient, options: WebOptions) -> None:
        self._hub = hub
        self._tokens = options.tokens
        self._clock = options.clock
        self._signing_keys = options.signing_keys
        limit = options.labels_per_minute
        self._quota = None if limit is None else Quota(limit, options.clock)
        self._assets = load_assets()

    async def page(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None:
            return self._sign_in(request, token)
        if not request.scope["path"].endswith("/"):
            return RedirectResponse(_page_location(request), 303, NO_STORE)
        try:
            access.require_reader(request, self._tokens)
        except Refusal as refusal:
            if "text/html" not in request.headers.get("accept", ""):
                raise
            signin = self._assets["signin.html"]
            return Response(signin.content, refusal.status, {**NO_STORE, **refusal.headers}, signin.media_type)
        return _asset_response(request, self._assets["index.html"])

    def _sign_in(self, request: Request, token: str) -> Response:
        """The token leaves the address at once; a cookie that can only read takes its place."""
        response = RedirectResponse(_page_location(request), 303, NO_STORE)
        if self._tokens.allows(token, TokenScope.READ):
            response.set_cookie(
                access.SESSION_COOKIE,
                self._tokens.session(token),
                path=request.scope.get("root_path") or "/",
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )
        return response

    async def asset(self, request: Request) -> Response:
        """Scripts and styles are the same for everyone and hold no data: no token is asked for."""
        asset = self._assets.get(request.path_params["file"])
        if asset is None or asset.page:
            return await _nothing_here(request)
        return _asset_response(request, asset)

    async def read(self, path: str, names: tuple[str, ...], request: Request) -> Response:
        access.require_reader(request, self._tokens)
        params = _parameters(request, names)
        content = await _off_loop(partial(self._hub.query, path, params))
        return tagged(request, content, "application/json", NO_STORE["cache-control"])

    async def metrics(self, scrape: Callable[[], bytes], request: Request) -> Response:
        access.require_reader(request, self._tokens)
        return Response(await _off_loop(scrape), headers={**NO_STORE, "content-type": CONTENT_TYPE})

    async def feedback(self, request: Request) -> Response:
        access.check_origin(request)
        access.require_token(request, self._tokens, TokenScope.LABEL)
        reader = reader_of(request.headers.get("content-type", ""))
        if reader is None or request.headers.get("content-encoding", "identity") != "identity":
            hint = "Send application/json, application/x-ndjson or text/csv, UTF-8, without content encoding."
            raise Refusal(415, "unsupported_media_type", "The body's type is not supported", hint)
        key = access.idempotency_key(request)
        signature = request.headers.get(SIGNATURE_HEADER, "")
        # A signature comes from one who holds the key: repeated, it is the same request, with or without a key.
        caller = Caller(access.caller_name(request), key or (signature if self._signing_keys else ""))
        taker = Taker(reader, self._hub, self._clock, caller, self._quota)
        if reader.whole or self._signing_keys:
            body = await _body(request)
            if self._signing_keys:
                now_ms = self._clock.unix_ns() // 1_000_000
                check_signature(signature, body, key, self._signing_keys, now_ms)
            await _off_loop(partial(taker.feed, body))
        else:
            await _stream(request, taker)
        return json_response(await _off_loop(taker.finish))


async def _nothing_here(request: Request) -> Response:
    raise Refusal(404, "not_found", "There is nothing at this path")


async def _off_loop(call: Callable[[], T]) -> T:
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(HUB_CALLS_AT_ONCE)
        _limiter.set(limiter)
    return await anyio.to_thread.run_sync(call, limiter=limiter)


async def _stream(request: Request, taker: Taker) -> None:
    """Bodies of any size in bounded memory: nothing more is read while a piece of it is taken in."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size >= PIECE_BYTES:
            await _off_loop(partial(taker.feed, b"".join(chunks)))
            chunks, size = [], 0
    await _off_loop(partial(taker.feed, b"".join(chunks)))


async def _body(request: Request) -> bytes:
    """The whole body, refused as soon as it is known to be too large."""
    refusal = Refusal(
        413, "body_too_large", "The body is too large", f"Send at most {MAX_BODY_BYTES} bytes in one request."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise refusal
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise refusal
        chunks.append(chunk)
    return b"".join(chunks)


def _parameters(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    params = {name: request.query_params[name] for name in names if name in request.query_params}
    if any(len(value) > MAX_PARAMETER for value in params.values()):
        raise Refusal(400, "parameter_too_long", "A parameter is too long", f"At most {MAX_PARAMETER} characters.")
    if not all(params.get(name) for name in names if name in {"model", "name"}):
        raise Refusal(400, "parameter_missing", "A parameter is missing", "Give model and name.")
    since = params.get("since", "0")
    if not (since.isascii() and since.isdigit()):
        raise Refusal(400, "parameter_invalid", "since is not a number", "Give Unix milliseconds as digits.")
    return params


def _page_location(request: Request) -> str:
    """The page's own address without the token; relative, because a proxy may have hidden part of the path."""
    path: str = request.scope["path"]
    place = "./" if path.endswith("/") else f"{quote(path.rpartition('/')[2])}/"
    rest = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "token"])
    return f"{place}?{rest}" if rest else place


def _asset_response(request: Request, asset: Asset) -> Response:
    return tagged(request, asset.content, asset.media_type, NO_STORE["cache-control"] if asset.page else "no-cache")
