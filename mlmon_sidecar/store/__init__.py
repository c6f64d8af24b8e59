"""Where the hub keeps things."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.store.contract import Store

__all__ = ["Store", "open_store", "require_store", "store_path"]


def open_store(url: str) -> Store:
    """``sqlite:///relative.db`` or ``sqlite:////absolute.db``. Raises ``StoreError``."""
    from mlmon_sidecar.store.sqlite import SqliteStore

    return SqliteStore(store_path(url))


def store_path(url: str) -> Path:
    """The file a store URL names. Raises ``StoreError`` for any other scheme."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise StoreError(
            f"store {parts.scheme or url!r} is not supported",
            code="store_scheme",
            hint="Use sqlite:///mlmon.db (three slashes: relative to the working directory; four: absolute).",
        )
    return Path(parts.path[1:])


def require_store(url: str) -> None:
    """Raises ``StoreError`` (``no_store``) where there is none yet: opening it would make one."""
    path = store_path(url)
    if not path.exists():
        raise StoreError(
            f"there is no store at {path}", code="no_store", hint="Name the configuration of the service with --config."
        )
