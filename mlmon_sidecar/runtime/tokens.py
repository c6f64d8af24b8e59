"""Which tokens open page and feedback in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlmon_sidecar.config import Settings
from mlmon_sidecar.interfaces import Clock
from mlmon_sidecar.store import store_path
from mlmon_sidecar.web.app import WebOptions
from mlmon_sidecar.web.tokens import (
    DEVELOPMENT_SCOPES,
    Scope,
    TokenSet,
    development_token,
    load_tokens,
    read_secrets,
)


def page_tokens(settings: Settings) -> TokenSet:
    """Those of ``[tokens]``, and with ``dev`` one beside the store. Raises ``ConfigError``."""
    said = settings.tokens
    files = {Scope.LABEL: said.label, Scope.READ: said.read}
    tokens = load_tokens({scope: Path(path) for scope, path in files.items() if path})
    if settings.dev:
        tokens = tokens.also(development_token(development_token_file(settings)), DEVELOPMENT_SCOPES)
    return tokens


def ignore_token(settings: Settings) -> Callable[[str], bool] | None:
    """Whether a value of the header ``x-mlmon-ignore`` is the token; None where none is configured."""
    path = settings.tokens.ignore
    if not path:
        return None
    tokens = load_tokens({Scope.IGNORE: Path(path)})
    return lambda token: tokens.allows(token, Scope.IGNORE)


def web_options(settings: Settings, tokens: TokenSet, clock: Clock, metrics: Callable[[], bytes] | None) -> WebOptions:
    """Of the page and the feedback endpoint; ``metrics`` as in ``WebOptions``.

    Raises ``ConfigError`` for a signing key that cannot be read.
    """
    said = settings.feedback
    return WebOptions(
        tokens=tokens,
        clock=clock,
        metrics=metrics,
        hosts=settings.hosts,
        signing_keys=read_secrets("feedback.signing_key_file", Path(said.signing_key_file))
        if said.signing_key_file
        else (),
        labels_per_minute=said.labels_per_minute,
    )


def development_token_file(settings: Settings) -> Path:
    """Where ``dev`` keeps its token: beside the store, readable by its owner alone."""
    store = store_path(settings.store)
    return store.with_name(store.name + ".token")
