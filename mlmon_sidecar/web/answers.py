"""What every answer of ours has in common: safe headers, JSON with code and hint, entity tags."""

from __future__ import annotations

import hashlib

import orjson
from starlette.requests import Request
from starlette.responses import Response

from mlmon_sidecar.errors import MlmonError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
COMMON_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
NO_STORE = {"cache-control": "no-store"}


class Refusal(MlmonError):
    """A request that is answered with an error status."""

    def __init__(self, status: int, code: str, message: str, hint: str = "", **headers: str) -> None:
        super().__init__(message, code=code, hint=hint)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        content = orjson.dumps({"code": self.code, "message": self.message, "hint": self.hint})
        return Response(content, self.status, {**NO_STORE, **self.headers}, "application/json")


def json_response(content: bytes, status: int = 200) -> Response:
    return Response(content, status, NO_STORE, "application/json")


def entity_tag(content: bytes) -> str:
    """A strong tag: equal bytes, equal tag."""
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def tagged(request: Request, content: bytes, media_type: str, cache_control: str) -> Response:
    """``content`` under its tag, or 304 to a client that has it already."""
    tag = entity_tag(content)
    headers = {"etag": tag, "cache-control": cache_control}
    if tag in known_tags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, media_type)


def known_tags(if_none_match: str) -> list[str]:
    """The tags of an ``If-None-Match`` header. Compared weakly, as RFC 9110 section 13.1.2 asks."""
    return [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
