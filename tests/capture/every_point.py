"""Raise at every point of our own code, one at a time: bytecode instruction by bytecode instruction.

A point is the *execution* of an instruction in our files that can call something or operate on something: a call, a
subscript, an operator, a comparison, an iteration, an unpacking, an import. ``Walk`` runs an exchange under the
interpreter's tracing, counts the points, and in its n-th run raises ``Injected`` right before the n-th.

Not points: loads and stores of local names and of slots, jumps, ``raise``, ``return``, ``await``; the calls by which
control is handed over, since a host without us makes the very same ones (``HANDING_OVER``, by their source text); and
the call as such of a function that guards itself (``GUARDED``), whose instructions are points all the same.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import mlmon_sidecar

ROOT = Path(mlmon_sidecar.__file__).parent
FILES = frozenset([*map(str, (ROOT / "capture").glob("*.py")), str(ROOT / "runtime" / "middleware.py")])
CAN_RAISE = ("CALL", "BINARY_", "STORE_SUBSCR", "DELETE_SUBSCR", "COMPARE_", "CONTAINS_", "GET_ITER", "FOR_ITER")
CAN_RAISE += (
    "UNPACK_",
    "DICT_",
    "LIST_EXTEND",
    "SET_UPDATE",
    "FORMAT_",
    "CONVERT_",
    "IMPORT_",
    "BEFORE_WITH",
    "UNARY_",
)
HANDING_OVER = frozenset(
    {
        # the application, the server
        "app(scope, receive, send)",
        "self.app(scope, receive, send)",
        "receive()",
        "self._receive()",
        "self._send(message)",
        "send(message)",
        "app(scope, receive, watched_send)",
        "app(scope, self.receive, self.send)",
        # making the coroutine in which that is done
        "other.run(serve, receive, send)",
        "serve(scope, receive, send)",
        "forward_lifespan(self.app, scope, receive, send, on_started=process.started_up, on_stopping=process.stop, "
        "faults=process.faults, stop_seconds=process.stop_seconds)",
        "self._send_watching(message)",
    }
)
GUARDED = ("self._begin(", "self._received(", "self._seen(", "self._chosen(", "self._end_with(", "self._abandon(")
GUARDED += ("_guarded(", "_told(", "_run_in_thread(")
GUARDED += tuple(f"{owner}faults.count(" for owner in ("", "self.", "self._capture.", "process.", "tap.capture."))
GUARDED += ("faults.lose(", "self._release(")  # the last only stores
GUARDED += ("other, serve",)  # unpacks a pair of our own


class Injected(Exception):
    """Raised in the middle of our code."""


@functools.cache
def points_of(code: CodeType) -> frozenset[int]:
    """Offsets of the instructions that are points."""
    lines = Path(code.co_filename).read_text().splitlines()
    found = set()
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(CAN_RAISE) and instruction.opname != "CALL_INTRINSIC_1":
            source = source_of(lines, instruction.positions)
            if source not in HANDING_OVER and not source.startswith(GUARDED):
                found.add(instruction.offset)
    return frozenset(found)


def source_of(lines: list[str], where: Any) -> str:
    """The text of an instruction's expression, on one line and without its last comma."""
    if where is None or where.lineno is None or where.end_lineno is None:
        return ""
    chosen = lines[where.lineno - 1 : where.end_lineno]
    chosen[-1] = chosen[-1].encode()[: where.end_col_offset].decode()
    chosen[0] = chosen[0].encode()[where.col_offset :].decode()
    return " ".join(part.strip() for part in chosen).replace("( ", "(").replace(", )", ")").replace(" )", ")")


class Walk:
    """Counts points while ``tracing``; raises before number ``target`` (from 0 on), where there is one."""

    def __init__(self, target: int = -1, after: Callable[[], bool] = lambda: True) -> None:
        self.target = target
        self.count = 0
        self.at = ""  # where it was raised
        self._counts = after  # whether points count yet

    @contextmanager
    def tracing(self) -> Iterator[None]:
        before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # from 3.12 on: asked for before, or the first run sees none
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace = self._step  # from 3.13 on: the next line is without effect before
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "opcode" and frame.f_lasti in points_of(frame.f_code) and self._counts():
            self.count += 1
            if self.count == self.target + 1:
                code = frame.f_code
                self.at = f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_qualname}"
                raise Injected
        return self._step
