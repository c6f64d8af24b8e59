"""What a command asks of a store, whoever is its hub at the moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from mlmon_sidecar.baseline.document import Baseline
from mlmon_sidecar.config import Loaded, Settings
from mlmon_sidecar.hub.baselines import Baselines
from mlmon_sidecar.hub.election import StoreLock
from mlmon_sidecar.hub.label_privacy import LabelPrivacy
from mlmon_sidecar.hub.socket_client import SocketHubClient
from mlmon_sidecar.interfaces import HubClient
from mlmon_sidecar.records import BaselineOrder, Erased, HeldBaseline
from mlmon_sidecar.runtime import assembly
from mlmon_sidecar.runtime.separate_hub import socket_path
from mlmon_sidecar.runtime.wiring import make_clock
from mlmon_sidecar.store import Store, open_store, require_store, store_path

TIMEOUT_SECONDS = 60.0  # an erasure waits for the transaction in force and cuts the log

Answer = TypeVar("Answer")


def erase(settings: Settings, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
    """Raises ``StoreError`` (``no_store``, ``log_in_use``) and ``HubUnavailable``."""

    def alone(store: Store) -> Erased:
        return store.erase(ids, LabelPrivacy(assembly.make_redactor(settings)).names(aliases))

    return _ask(settings, lambda hub: hub.erase(ids, aliases), alone)


def order_baseline(loaded: Loaded, order: BaselineOrder) -> HeldBaseline:
    """Raises ``BaselineError``, ``StoreError`` (``no_store``) and ``HubUnavailable``."""
    return _ask(loaded.settings, lambda hub: hub.baseline(order), lambda store: _baselines(loaded, store).order(order))


def held_baselines(loaded: Loaded) -> Sequence[HeldBaseline]:
    """Newest first. Reads the store, whoever is its hub. Raises ``StoreError`` (``no_store``)."""
    require_store(loaded.settings.store)
    store = open_store(loaded.settings.store)
    try:
        return store.baselines()
    finally:
        store.close()


def baseline_in_use(loaded: Loaded, model: str) -> Baseline | None:
    """What a model is compared with, or will be within minutes. Raises ``BaselineError``, ``StoreError``."""
    require_store(loaded.settings.store)
    store = open_store(loaded.settings.store)
    try:
        return _baselines(loaded, store).plan(model).baseline
    finally:
        store.close()


def _baselines(loaded: Loaded, store: Store) -> Baselines:
    watched = assembly.watched_models(loaded.settings, loaded.origin)
    plans = [assembly.model_plan(model, loaded.settings) for model in watched]
    policy = assembly.redaction_policy(loaded.settings).hash
    return Baselines(store, plans, make_clock(loaded.settings), policy)


def _ask(settings: Settings, hub: Callable[[HubClient], Answer], alone: Callable[[Store], Answer]) -> Answer:
    """Through the hub where one runs, for it alone writes; else on the store itself, as its hub for that moment."""
    require_store(settings.store)
    lock = StoreLock(store_path(settings.store))
    if not lock.try_acquire():
        client = SocketHubClient(socket_path(settings), TIMEOUT_SECONDS)
        try:
            return hub(client)
        finally:
            client.close()
    try:
        store = open_store(settings.store)
        try:
            store.take_over()
            return alone(store)
        finally:
            store.close()
    finally:
        lock.release()
