"""Where the hub keeps things."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mlmon_sidecar.errors import MissingExtra, StoreError
from mlmon_sidecar.store.contract import Store

__all__ = ["Store", "is_postgres", "open_store", "require_store", "store_path"]


def open_store(url: str) -> Store:
    """``sqlite:///relative.db``, ``sqlite:////absolute.db``, or ``postgresql://user@host/database``.

    Raises ``StoreError``, and ``MissingExtra`` where PostgreSQL's driver is not installed.
    """
    if is_postgres(url):
        try:
            from mlmon_sidecar.store.postgres import PostgresStore
        except ImportError as error:
            if error.name != "psycopg":
                raise
            raise MissingExtra("postgres", "a store on PostgreSQL") from None
        return PostgresStore(url)
    from mlmon_sidecar.store.sqlite import SqliteStore

    return SqliteStore(store_path(url))


def is_postgres(url: str) -> bool:
    return urlsplit(url).scheme == "postgresql"


def store_path(url: str) -> Path:
    """The file a store URL names; of a database the name in the working directory that the hub's own files (its lock,
    socket and development token) lie beside. Raises ``StoreError`` for any other scheme."""
    parts = urlsplit(url)
    if parts.scheme == "postgresql":
        return Path(f"mlmon-{Path(parts.path).name or 'postgres'}")
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2:
        raise StoreError(
            f"store {parts.scheme or url!r} is not supported",
            code="store_scheme",
            hint="Use sqlite:///mlmon.db (three slashes: relative to the working directory; four: absolute), or "
            "postgresql://user@host/database.",
        )
    return Path(parts.path[1:])


def require_store(url: str) -> None:
    """Raises ``StoreError`` (``no_store``) where there is none yet: opening it would make one."""
    if is_postgres(url):
        return  # a database is never made, and its tables name nobody's files
    path = store_path(url)
    if not path.exists():
        raise StoreError(
            f"there is no store at {path}", code="no_store", hint="Name the configuration of the service with --config."
        )
