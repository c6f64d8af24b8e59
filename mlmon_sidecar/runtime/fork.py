"""Which process this is, for code that asks on every request: the system call costs more than the question is worth."""

from __future__ import annotations

import os

pid = os.getpid()


def _in_child() -> None:
    global pid
    pid = os.getpid()


os.register_at_fork(after_in_child=_in_child)
