"""A tap's steps in C without any check, compiled where this runs: the floor of a tap with these steps."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sysconfig
import tempfile
from collections import deque
from pathlib import Path
from typing import Any

from benchmarks.overhead.traffic import PAYLOADS, App
from benchmarks.overhead.variants import Sent, Variant, expect

SOURCE = Path(__file__).with_suffix(".c")


class Unchecked(Variant):
    """One entry a request, proved like the others."""

    def wrap(self, app: App) -> App:
        self.entries: deque[tuple[Any, ...]] = deque()
        self.recorded = 0
        self.ids: set[str] = set()
        return UncheckedCapture(app, self.entries, _compiled()).__call__

    def clear(self) -> None:
        for prediction_id, method, path, asked, request, answered, status, chunks, times in self.entries:
            payload = next(p for p in PAYLOADS.values() if p.path == path)
            expect("request", (method, request), ("POST", payload.body))
            expect("answer", chunks if isinstance(chunks, bytes) else b"".join(chunks), b"".join(payload.answer))
            expect("type", dict(asked)[b"content-type"], b"application/json")
            expect("its type", dict(answered)[b"content-type"].partition(b";")[0], payload.media_type)
            expect("status and times in order", (status, sorted(times)), (200, list(times)))
            self.ids.add(prediction_id)
        self.recorded += len(self.entries)
        self.entries.clear()

    def prove(self, sent: Sent) -> None:
        expect("entries", self.recorded, sum(sent.values()))
        expect("different ids", len(self.ids), self.recorded)


class UncheckedCapture:
    def __init__(self, app: App, entries: deque[tuple[Any, ...]], steps: Any) -> None:
        self.app, self.entries, self.steps = app, entries, steps

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        tap, receive, send = self.steps.opened(self.entries, scope, receive, send)
        try:
            await self.app(scope, receive, send)
        finally:
            self.steps.ended(tap)


def _compiled() -> Any:
    """The module, by the compiler that Python was built with. Raises ``CalledProcessError`` or ``OSError``."""
    with tempfile.TemporaryDirectory(prefix="mlmon-overhead-") as folder:
        built = Path(folder, "unchecked.so")
        linker, flags = (shlex.split(sysconfig.get_config_var(name) or "") for name in ("LDSHARED", "CFLAGS"))
        command = [*linker, *flags, "-fPIC", "-w", f"-I{sysconfig.get_path('include')}", str(SOURCE), "-o", str(built)]
        subprocess.run(command, check=True)
        spec = importlib.util.spec_from_file_location("unchecked", built)
        assert spec is not None and spec.loader is not None, "it ends in .so"
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
