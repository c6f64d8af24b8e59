"""Every function behind the hand-off made to raise, one after another, under a real server: the answers stay the same.

Which functions there are is found by watching a healthy run of the monitor's threads, so that none can be forgotten.
A function is broken by giving it other code: whoever holds a reference to it meets the fault.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import apsw
import pytest
from framework_apps import starlette
from real_servers import ask, uvicorn_with
from runtime_serving import counters, eventually

import mlmon_sidecar
from mlmon_sidecar import MonitorMiddleware

ROOT = Path(mlmon_sidecar.__file__).parent
STAGES = ("decode", "aggregate", "redact", "recorder", "hub", "store")
LEAST_FUNCTIONS = 60
BODIES = [b"[1, 2.5]", b'{"score": 1, "email": "a@example.org"}', b"{"]
CALLED_SECONDS = 0.3  # what is not called again by then belongs to the start


class Injected(Exception):
    pass


class Watch:
    """The functions of the stages that the monitor's threads call while ``on``."""

    def __init__(self) -> None:
        self.on = False
        self.codes: set[CodeType] = set()

    def __call__(self, frame: Any, event: str, _: Any) -> None:
        if self.on and event == "call" and stage_of(frame.f_code):
            self.codes.add(frame.f_code)

    def functions(self) -> list[FunctionType]:
        found = []
        for code in sorted(self.codes, key=lambda code: (code.co_filename, code.co_firstlineno)):
            if not code.co_freevars:  # a closure is broken with the function that makes it
                found += [one for one in gc.get_referrers(code) if isinstance(one, FunctionType)][:1]
        return found


def stage_of(code: CodeType) -> str:
    name = code.co_filename
    if not name.startswith(str(ROOT)):
        return ""
    first = Path(name).relative_to(ROOT).parts[0].removesuffix(".py")
    return first if first in STAGES else ""


CALLED = threading.Event()


def broken(*_: Any, **__: Any) -> Any:
    from test_stage_faults import CALLED, Injected

    CALLED.set()
    raise Injected


@contextmanager
def broken_function(function: FunctionType) -> Iterator[None]:
    code = function.__code__
    CALLED.clear()
    function.__code__ = broken.__code__
    try:
        yield
    finally:
        function.__code__ = code


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    threading.setprofile(watch)
    logging.disable(logging.CRITICAL)
    yield watch
    logging.disable(logging.NOTSET)
    threading.setprofile(None)  # type: ignore[arg-type]  # which is how it is taken away


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_no_fault_behind_the_hand_off_reaches_a_client(tmp_path: Path, watch: Watch) -> None:
    settings = tmp_path / "mlmon.toml"
    store = f"sqlite:///{tmp_path}/mlmon.db"
    settings.write_text(f'store = "{store}"\nflush_interval_seconds = 0.1\n[models.sums]\n')
    monitored = MonitorMiddleware(
        starlette(None), config=settings, prediction_id_header=None, endpoints=None, strict=True
    )

    def answers(port: int) -> list[bytes]:
        return [ask(port, "POST", "/score", body) for body in BODIES]

    def accepted() -> int:
        with suppress(apsw.CantOpenError, apsw.SQLError):  # the store is not made yet
            return counters(tmp_path).get("exchanges.accepted", 0)
        return 0

    with uvicorn_with("h11", starlette(None), "") as port:
        alone = answers(port)
    with uvicorn_with("h11", monitored, "") as port:
        assert answers(port) == alone
        eventually(accepted, lambda count: count == len(BODIES))
        watch.on = True
        assert answers(port) == alone
        eventually(accepted, lambda count: count == 2 * len(BODIES))
        watch.on = False
        functions = watch.functions()
        reached = []
        for function in functions:
            with broken_function(function):
                assert answers(port) == alone, function.__qualname__
                if CALLED.wait(CALLED_SECONDS):
                    reached.append(function.__qualname__)
        assert len(reached) >= LEAST_FUNCTIONS, reached
        before = accepted()
        assert answers(port) == alone
        eventually(accepted, lambda count: count >= before + len(BODIES))  # and it records again, by itself
