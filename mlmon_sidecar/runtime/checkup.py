"""What is wrong with what the configuration names: baselines, token files, the store's folder. Writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mlmon_sidecar.config import Settings
from mlmon_sidecar.errors import ConfigError
from mlmon_sidecar.runtime.assembly import Origin, redaction_policy, watched_models
from mlmon_sidecar.store import store_path
from mlmon_sidecar.web.tokens import Scope, load_tokens


def problems(settings: Settings, origin: Origin) -> list[str]:
    """One sentence each; none: everything can be used, as far as can be seen now."""
    baselines = [watched.problem for watched in watched_models(settings, origin) if watched.problem]
    return [*_privacy(settings), *baselines, *_tokens(settings, origin), *_store(settings, origin)]


def _privacy(settings: Settings) -> Iterator[str]:
    try:
        redaction_policy(settings)
    except ConfigError as error:
        yield str(error)


def _tokens(settings: Settings, origin: Origin) -> Iterator[str]:
    for name, path in settings.tokens:
        if path:
            try:
                load_tokens({Scope(name): Path(path)})
            except ConfigError as error:
                yield f"{origin(('tokens', name))}: {error}"


def _store(settings: Settings, origin: Origin) -> Iterator[str]:
    """Only the embedded hub opens the store from here."""
    if settings.hub.url != "embedded":
        return
    folder = store_path(settings.store).resolve().parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        yield (
            f"{origin(('store',))}: store = {settings.store!r}: the folder {folder} is not one that can be written. "
            "Make it, or name another store."
        )
