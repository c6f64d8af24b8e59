"""Every store there is, each time with nothing in it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Server, programs

from mlmon_sidecar.store import Store, open_store


@pytest.fixture(scope="session")
def database() -> Iterator[Server]:
    """A PostgreSQL that forgets what it is killed over."""
    missing = None if programs() else "PostgreSQL is not installed"
    if importlib.util.find_spec("psycopg") is None:
        missing = "psycopg is not installed"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with Server() as server:
        yield server


@pytest.fixture
def postgres(database: Server) -> str:
    """The URL of a store without tables."""
    import psycopg

    with psycopg.connect(database.url, autocommit=True) as db:
        db.execute("SET client_min_messages = warning; DROP SCHEMA IF EXISTS mlmon CASCADE")
    return database.url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'mlmon.db'}"
    return str(request.getfixturevalue("postgres"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """Taken over."""
    store = open_store(store_url)
    store.take_over()
    yield store
    store.close()
