"""Who may ask: allowed hosts, the request's origin, and tokens. A loopback peer is not trusted more than another."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request

from mlmon_sidecar.web.answers import Refusal
from mlmon_sidecar.web.tokens import Scope, TokenSet

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
ANY_HOST = "*"
SESSION_COOKIE = "mlmon_session"
MAX_KEY = 255  # characters of an idempotency key


def check_host(request: Request, hosts: Collection[str]) -> None:
    """Refuse a ``Host`` that is not ours: a foreign name that resolves to us (DNS rebinding) reads nothing."""
    if ANY_HOST in hosts:
        return
    name = host_name(request.headers.get("host", ""))
    if name not in LOCAL_HOSTS and name not in {host.lower() for host in hosts}:
        raise Refusal(
            403,
            "host_not_allowed",
            "The Host header names a host that is not allowed",
            "Add the host name you use to the allowed hosts of the web settings.",
        )


def check_origin(request: Request) -> None:
    """Refuse a request that a page of another origin makes a browser send."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise Refusal(403, "origin_not_allowed", "The request comes from a page of another origin")


def require_token(request: Request, tokens: TokenSet, scope: Scope) -> None:
    """Accept a bearer token of ``scope`` and nothing else."""
    token = bearer(request)
    if token is None or not tokens.knows(token):
        raise Refusal(
            401,
            "token_required",
            "A valid token is required",
            f"Send the header 'Authorization: Bearer <token>' with a token of scope {scope}.",
            www_authenticate='Bearer realm="mlmon"',
        )
    if not tokens.allows(token, scope):
        raise Refusal(403, "scope_missing", f"The token is not valid for scope {scope}")


def require_reader(request: Request, tokens: TokenSet) -> None:
    """Accept a bearer token of scope read, or the page's session."""
    if not has_session(request, tokens):
        require_token(request, tokens, Scope.READ)


def has_session(request: Request, tokens: TokenSet) -> bool:
    return tokens.reads_with(request.cookies.get(SESSION_COOKIE, ""))


def bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def caller_name(request: Request) -> str:
    """Tells one token from another, without being it."""
    return hashlib.sha256((bearer(request) or "").encode()).hexdigest()[:16]


def idempotency_key(request: Request) -> str:
    """The header of that name, "" without one."""
    key: str = request.headers.get("idempotency-key", "")
    if len(key) > MAX_KEY:
        raise Refusal(400, "key_too_long", "The idempotency key is too long", f"At most {MAX_KEY} characters.")
    return key


def host_name(host: str) -> str:
    """``Host`` without its port, lower case; "" when it has no usable form."""
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        name += bracket
    else:
        name, colon, port = host.partition(":")
        port = colon + port
    return name.lower() if port == "" or (port[0] == ":" and port[1:].isdigit()) else ""
