"""The numbers of flushes: each is frozen once, sent until it is answered, and never changed.

While one is unanswered, newer data goes into the next: at most one flush is in doubt.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from mlmon_sidecar import telemetry as names
from mlmon_sidecar.errors import HubUnavailable, WireError
from mlmon_sidecar.interfaces import Clock, HubClient
from mlmon_sidecar.records import DropReason, Flush, FlushStatus, KeptRows, Pane, RedactedRows
from mlmon_sidecar.telemetry import Telemetry

MAX_RENEWALS = 3  # fresh identities in one delivery: a hub that forgets each at once gets no fourth


class Contents(NamedTuple):
    """What goes into one flush."""

    panes: tuple[Pane, ...]
    rows: KeptRows
    counters: Mapping[str, int]
    through: Mapping[str, int]
    more: bool  # another has to follow at once


class Flushing:
    """One recorder's flushes. ``take`` gives what the next one holds; ``took_none`` hears that no hub took any;
    ``lost`` hears which counters went into a flush that was refused, and have to be told again."""

    def __init__(
        self,
        models: Iterable[str],
        hub: HubClient,
        clock: Clock,
        telemetry: Telemetry,
        *,
        take: Callable[[], Contents],
        took_none: Callable[[], None],
        lost: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._models = tuple(models)
        self._hub, self._clock, self._telemetry = hub, clock, telemetry
        self._take, self._took_none, self._lost = take, took_none, lost
        self._sending = threading.Lock()  # one flush in doubt at a time
        self._renewals = 0
        self._begin_identity()

    def _begin_identity(self) -> None:
        self.recorder_id = str(uuid.uuid4())
        self._seq = 0
        self._unsent: deque[Flush] = deque()  # frozen and numbered; the first may be in doubt, the others never left
        self._in_doubt_since_ns: int | None = None

    def deliver(self, *, closing: bool = False, wait_seconds: float = -1, rest: Callable[[], object] = int) -> bool:
        """Everything there is. False: no hub answered, it is kept for the next time.

        Args:
            closing: nothing follows.
            wait_seconds: for another thread that is sending; -1: as long as it takes.
            rest: called between flushes.
        """
        if not self._sending.acquire(timeout=wait_seconds):
            return False
        try:
            self._renewals = 0
            if self._seq == 0:
                self._unsent.append(self._registration())
            self._send()
            more = True
            while more:
                contents = self._take()
                self._freeze(contents, closing)
                self._send()
                more = contents.more
                if more:
                    rest()
        except HubUnavailable:
            self._took_none()
        except WireError as error:  # refused for what it is: to send it again would be vain
            self._telemetry.failed("flush", error)
            self._give_up()
        except Exception as error:  # An embedded hub may fail in any way: the flush stays as it is, for the next time.
            self._telemetry.failed("flush", error)
            self._took_none()
        else:
            return True
        finally:
            self._sending.release()
        return False

    @property
    def lag_seconds(self) -> float:
        """Age of the flush in doubt, in the machine's time; 0 where none is."""
        since = self._in_doubt_since_ns
        return 0.0 if since is None else (self._clock.monotonic_ns() - since) / 1e9

    def _registration(self) -> Flush:
        self._seq = 1
        return self._flush(Contents((), KeptRows(), {}, dict.fromkeys(self._models, -1), more=False), closing=False)

    def _freeze(self, contents: Contents, closing: bool) -> None:
        self._seq += 1
        self._unsent.append(self._flush(contents, closing and not contents.more))

    def _flush(self, contents: Contents, closing: bool) -> Flush:
        return Flush(
            recorder_id=self.recorder_id,
            seq=self._seq,
            panes=contents.panes,
            rows=RedactedRows(contents.rows),
            counters=contents.counters,
            complete_through=contents.through,
            sent_ns=self._clock.unix_ns(),
            closing=closing,
            origin=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _send(self) -> None:
        """Until it is answered a flush is in doubt: it stays as it is, under its number."""
        while self._unsent:
            if self._in_doubt_since_ns is None:
                self._in_doubt_since_ns = self._clock.monotonic_ns()
            receipt = self._hub.flush(self._unsent[0])
            self._in_doubt_since_ns = None
            if receipt.status is FlushStatus.UNKNOWN_RECORDER:
                self._register_again()
            else:
                self._unsent.popleft()

    def _register_again(self) -> None:
        """The hub has forgotten this recorder: what it could not take follows a registration under a fresh identity."""
        refused = list(self._unsent)
        self._begin_identity()
        self._unsent.append(self._registration())
        for flush in refused:
            self._seq += 1
            self._unsent.append(replace(flush, recorder_id=self.recorder_id, seq=self._seq))
        self._renewals += 1
        if self._renewals >= MAX_RENEWALS:
            raise HubUnavailable("the hub forgets whom it registered", code="recorder_unknown")

    def _give_up(self) -> None:
        """Rows and panes of the refused flush are lost and counted; its counters go with the next one."""
        refused = self._unsent.popleft()
        self._in_doubt_since_ns = None
        self._telemetry.rows_dropped(len(refused.rows.rows), DropReason.FLUSH_REFUSED)
        self._telemetry.add(names.PANES_DROPPED_PREFIX + DropReason.FLUSH_REFUSED, len(refused.panes))
        self._lost(refused.counters)
