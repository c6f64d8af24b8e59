"""Forks while other threads hold every lock of ours: ``locked_fork_program.py``, in the folder of its ``mlmon.toml``.

One JSON object on standard output: the ids that parent and child answered with, the locks that were held, and how the
child ended.
"""

import asyncio
import gc
import json
import os
import sys
import threading
from typing import Any

from forking_program import ask_often, stop, wait_until_recording
from served_apps import bare

from mlmon_sidecar import Monitor, MonitorMiddleware

LOCKS = (type(threading.Lock()), type(threading.RLock()))


def our_locks() -> dict[str, Any]:
    """Every lock in an attribute of an object whose class is ours, or of an event or condition in such a one."""
    found: dict[str, Any] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        if not str(kind.__module__).startswith("mlmon_sidecar"):
            continue
        slots = [name for each in kind.__mro__ for name in getattr(each, "__slots__", ())]
        for name in {*getattr(thing, "__dict__", {}), *slots}:
            value = getattr(thing, name, None)
            if isinstance(value, threading.Event):
                value = value._cond._lock  # type: ignore[attr-defined]  # to look where nobody else looks
            if isinstance(value, LOCKS):
                found[f"{kind.__name__}.{name} {id(value)}"] = value
    return found


def hold(lock: Any, held: threading.Semaphore, release: threading.Event) -> None:
    with lock:
        held.release()
        release.wait()


def main() -> None:
    app = MonitorMiddleware(bare())
    monitor = Monitor()
    ids = asyncio.run(ask_often(app, 5))
    wait_until_recording()
    monitor.observe("loans", features=[{"income": 1.0}], scores=[0.5])
    locks = our_locks()
    held, release = threading.Semaphore(0), threading.Event()
    for lock in locks.values():
        threading.Thread(target=hold, args=(lock, held, release), daemon=True).start()
    for _ in locks:
        held.acquire(timeout=0.2)  # in vain: a thread of ours holds it, and waits for one that is held here
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        answered = asyncio.run(ask_often(app, 7))
        seen = monitor.observe("loans", features=[{"income": 2.0}] * 3, scores=[0.5] * 3)
        monitor.close()
        asyncio.run(stop(app))
        os.write(write, json.dumps([answered, list(seen)]).encode())
        os._exit(0)
    release.set()
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    ids += asyncio.run(ask_often(app, 3))
    monitor.close()
    asyncio.run(stop(app))
    told = {"parent": ids, "child": json.loads(os.read(read, 65_536)), "ended": ended}
    sys.stdout.write(json.dumps(told | {"locks": sorted({name.split()[0] for name in locks})}))


if __name__ == "__main__":
    main()
