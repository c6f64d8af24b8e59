"""What a forked child must let go of: descriptors it shares with its parent.

A child that merely keeps a copy of a lock's descriptor keeps the lock alive after the parent was killed; a copy of a
listening or accepted socket makes clients wait for an answer nobody will give. So the child closes its copies at
once. Closing a copy changes nothing for the parent.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Inherited(Protocol):
    def abandon(self) -> None:
        """Runs in a forked child, where only the forking thread lives: close descriptors, replace locks. No I/O."""


_owners: weakref.WeakSet[Inherited] = weakref.WeakSet()


def abandon_in_children(owner: Inherited) -> None:
    """From now on, every child forked through Python calls ``owner.abandon()`` first of all."""
    _owners.add(owner)


def _in_child() -> None:
    for owner in list(_owners):
        owner.abandon()


os.register_at_fork(after_in_child=_in_child)
