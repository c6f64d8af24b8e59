"""Which requests are predictions, and of which model. The path is compared and forgotten: it never becomes a label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlmon_sidecar.errors import ConfigError

DEFAULT_EXCLUDED = (
    "/health",
    "/healthz",
    "/livez",
    "/readyz",
    "/ready",
    "/live",
    "/ping",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/redoc",
    "/favicon.ico",
    "/v2/health/**",  # the Open Inference Protocol's probes
)
DEFAULT_METHODS = frozenset({"POST", "PUT"})  # of a model without routes
VERSION_PLACE = "{version}"  # stands for any text, like "*"; decoding takes the version from there
NEVER = frozenset({"HEAD", "OPTIONS"})  # no answer of the model's is in these
CACHED_PATHS = 1024  # a client chooses paths freely, so the cache is bounded in number ...
CACHED_PATH_LENGTH = 256  # ... and in characters each


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """What is captured.

    ``routes`` maps each model to patterns such as ``"POST /score"``. In a segment one ``*`` stands for any text without
    a slash (``"POST /v1/models/*:predict"``); a last segment ``**`` stands for any rest. A single model may have none:
    it then takes every POST and PUT that is not excluded. ``excluded`` holds paths in the same form, for all methods; a
    route without ``*`` is meant literally and wins over an exclusion.
    """

    routes: Mapping[str, Sequence[str]]
    excluded: Sequence[str] = DEFAULT_EXCLUDED


class Selection:
    """Answers for one application, safe from any thread. Raises ``ConfigError`` for routes it cannot honour."""

    def __init__(self, options: SelectionOptions) -> None:
        self._exact: dict[str, dict[str, str]] = {}  # method -> path -> model
        self._patterns: dict[str, list[tuple[_Pattern, str]]] = {}  # method -> in the order given
        self._known: dict[str, dict[str, str | None]] = {}  # the exact ones, and what was found for other paths
        self._excluded = tuple(_excluded(path) for path in options.excluded)
        if not options.routes:
            raise ConfigError("no model is configured", code="no_model", hint="Name one model")
        for model, routes in options.routes.items():
            if not routes:
                self._take_all(model, alone=len(options.routes) == 1)
            for route in routes:
                self._add(model, route)

    def match(self, method: str, path: str) -> str | None:
        """The model that answers ``method`` (upper case) on the application-relative ``path``, or None."""
        known = self._known.get(method)
        if known is None:
            return None
        try:
            return known[path]
        except KeyError:
            return self._remembered(method, path)

    def _remembered(self, method: str, path: str) -> str | None:
        known = self._known[method]
        model = self._search(method, path)
        if len(path) <= CACHED_PATH_LENGTH:
            if len(known) >= CACHED_PATHS + len(self._exact[method]):
                known = self._known[method] = dict(self._exact[method])
            known[path] = model
        return model

    def _search(self, method: str, path: str) -> str | None:
        patterns = self._patterns[method]
        if not patterns or any(pattern.matches(path) for pattern in self._excluded):
            return None
        return next((model for pattern, model in patterns if pattern.matches(path)), None)

    def _take_all(self, model: str, *, alone: bool) -> None:
        if not alone:
            raise ConfigError(
                f"models.{model}.routes is empty, and there are other models",
                code="routes_missing",
                hint=f'Say which requests are its own, for instance models.{model}.routes = ["POST /score"]',
            )
        for method in DEFAULT_METHODS:
            self._method(method).append((_Pattern("/**"), model))

    def _add(self, model: str, route: str) -> None:
        method, _, path = route.partition(" ")
        if not method.isalpha() or not path.startswith("/") or any(character in path for character in " ?#"):
            raise _bad_route(model, route, 'Write a method and a path, for instance "POST /score"')
        method, path = method.upper(), path.replace(VERSION_PLACE, "*")
        if method in NEVER:
            raise _bad_route(model, route, f"{method} answers hold no predictions: leave this route out")
        patterns = self._method(method)
        if "*" in path:
            try:
                patterns.append((_Pattern(path), model))
            except ValueError:
                raise _bad_route(model, route, 'Use one "*" in a segment, and "**" only as the last segment') from None
        elif self._exact[method].setdefault(path, model) == model:
            self._known[method][path] = model
        else:
            raise _bad_route(model, route, "Another model has this route: give it to one of them")

    def _method(self, method: str) -> list[tuple[_Pattern, str]]:
        self._exact.setdefault(method, {})
        self._known.setdefault(method, {})
        return self._patterns.setdefault(method, [])


class Routes:
    """Templates as they may be told: which of a model's routes a request took."""

    def __init__(self, routes: Mapping[str, Sequence[str]]) -> None:
        self._known = {
            model: [(route, Selection(SelectionOptions({model: [route]}, excluded=()))) for route in said]
            for model, said in routes.items()
        }

    def of(self, model: str, method: str, path: str) -> str:
        """The route without its method; "" for a model without routes."""
        for route, selection in self._known.get(model, ()):
            if selection.match(method, path) is not None:
                return route.partition(" ")[2]
        return ""


class _Pattern:
    """A path, segment by segment. Raises ``ValueError`` for stars it does not understand."""

    def __init__(self, path: str) -> None:
        segments = path.split("/")[1:]
        self._any_rest = segments[-1] == "**"
        if self._any_rest:
            segments.pop()
        if any(segment.count("*") > 1 for segment in segments):
            raise ValueError(path)
        self._segments = tuple(_segment_test(segment) for segment in segments)

    def matches(self, path: str) -> bool:
        parts = path.split("/")[1:]
        if self._any_rest:
            if len(parts) <= len(self._segments):
                return False
        elif len(parts) != len(self._segments):
            return False
        return all(test(part) for test, part in zip(self._segments, parts, strict=False))


def _segment_test(segment: str) -> Callable[[str], bool]:
    head, star, tail = segment.partition("*")
    if not star:
        return segment.__eq__
    room = len(head) + len(tail)
    return lambda part: len(part) > room and part.startswith(head) and part.endswith(tail)


def _excluded(path: str) -> _Pattern:
    try:
        return _Pattern(path)
    except ValueError:
        raise ConfigError(
            f"exclude: {path!r} is not a path",
            code="bad_route",
            hint='Use one "*" in a segment, and "**" only as the last segment',
        ) from None


def _bad_route(model: str, route: str, hint: str) -> ConfigError:
    return ConfigError(f"models.{model}.routes: {route!r} is not a route", code="bad_route", hint=hint)


def app_path(scope: Mapping[str, Any]) -> str:
    """The path as the application's own routes see it: ``path`` without ``root_path``, where it carries it.

    By the ASGI specification ``path`` includes ``root_path``; frameworks that set a ``root_path`` of their own behind a
    stripping proxy leave it out, and then ``path`` is already relative.
    https://asgi.readthedocs.io/en/latest/specs/www.html#http-connection-scope
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    root = root.rstrip("/")
    if not root or not path.startswith(root):
        return path
    if len(path) == len(root):
        return "/"
    return path[len(root) :] if path[len(root)] == "/" else path
