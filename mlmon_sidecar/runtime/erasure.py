"""Taking somebody out of a store, whoever is its hub at the moment."""

from __future__ import annotations

from collections.abc import Sequence

from mlmon_sidecar.config import Settings
from mlmon_sidecar.errors import StoreError
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.label_privacy import LabelPrivacy
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.records import Erased
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.separate_hub import socket_path
from mlmon_sidecar.store import open_store, store_path

TIMEOUT_SECONDS = 60.0  # an erasure waits for the transaction in force and cuts the log


def erase(settings: Settings, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
    """Through the hub where one runs, for it alone writes; else on the store itself, as its hub for that moment.

    Raises ``StoreError`` (``no_store``, ``log_in_use``) and ``HubUnavailable``.
    """
    path = store_path(settings.store)
    if not path.exists():
        raise StoreError(
            f"there is no store at {path}", code="no_store", hint="Name the configuration of the service with --config."
        )
    lock = StoreLock(path)
    if not lock.try_acquire():
        client = SocketHubClient(socket_path(settings), TIMEOUT_SECONDS)
        try:
            return client.erase(ids, aliases)
        finally:
            client.close()
    try:
        store = open_store(settings.store)
        try:
            store.take_over()
            return store.erase(ids, LabelPrivacy(assembly.make_redactor(settings)).names(aliases))
        finally:
            store.close()
    finally:
        lock.release()
