"""One exchange played twice, with us and without us, and everything that both ends could notice written down.

A *play* is an application, what the server hands it, and the scope. ``play`` runs it and returns a ``Transcript``: the
order of every call and message at both ends, whether each message arrived as the very object that left, how often the
call gave control back to the loop, what it raised with which frames. Without us and with us the transcripts are equal.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlmon_sidecar
from mlmon_sidecar.capture.wiring import DEFAULT_ID_HEADER, ASGIApp, Message, Receive, Scope, Send

OURS = str(Path(mlmon_sidecar.__file__).parent)
Mount = Callable[[ASGIApp], ASGIApp]
OUTSIDE: ContextVar[str] = ContextVar("outside", default="unset")
INSIDE: ContextVar[str] = ContextVar("inside", default="unset")


def bare(app: ASGIApp) -> ASGIApp:
    return app


@dataclass
class Transcript:
    """What both ends saw. Messages are told by number, and ``True`` says: the very object that left."""

    log: list[tuple[Any, ...]] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)  # as the server got them
    raised: BaseException | None = None
    frames: list[tuple[str, str]] = field(default_factory=list)  # file and function, without ours
    our_frames: int = 0
    cause: BaseException | None = None
    context: BaseException | None = None
    cancelling: int = 0
    inside: str = ""  # what the application set, as seen from outside afterwards

    def comparable(self) -> tuple[Any, ...]:
        error = None if self.raised is None else (type(self.raised), repr(self.raised.args))
        links = (self.cause is None, self.context is None)
        return (self.log, error, links, self.frames, self.cancelling, self.inside)

    @property
    def shown(self) -> list[Message]:
        """What the server got, with headers as lists, for comparing by value."""
        return [{**m, "headers": list(m["headers"])} if "headers" in m else m for m in self.sent]


class Server:
    """The server's end. A callable among ``incoming`` is called when its turn comes; then nothing ever comes."""

    def __init__(self, incoming: Sequence[Any], transcript: Transcript, refuse: Callable[[int], Any] | None) -> None:
        self.incoming = list(incoming)
        self.handed = 0
        self.transcript = transcript
        self.refuse = refuse
        self.left: list[Message] = []  # what the application sent, in order

    async def receive(self) -> Message:
        self.transcript.log.append(("server is asked",))
        if self.handed == len(self.incoming):
            await asyncio.Event().wait()
        message = self.incoming[self.handed]
        self.handed += 1
        if callable(message):
            message = await message()
        return message

    async def send(self, message: Message) -> Any:
        number = len(self.transcript.sent)
        self.transcript.log.append(("server gets", number, message is self.left[number]))
        self.transcript.sent.append(message)
        if self.refuse is not None and (error := self.refuse(number)) is not None:
            raise error
        return ("accepted", number)  # an application may look at what ``send`` returns


def witnessed(app: ASGIApp, server: Server, scope: Scope, task: asyncio.Task[Any] | None) -> ASGIApp:
    """The application's end of the same wires: innermost, so that it sees what the application sees."""
    log = server.transcript.log.append

    async def seen(inner: Scope, receive: Receive, send: Send) -> None:
        log(("called", inner is scope, asyncio.current_task() is task, OUTSIDE.get()))

        async def receiving() -> Message:
            log(("app asks",))
            message = await receive()
            log(("app gets", any(message is one for one in server.incoming) or message))
            return message

        async def sending(message: Message) -> Any:
            log(("app sends", len(server.left)))
            server.left.append(message)
            returned = await send(message)
            log(("send returns", returned))
            return returned

        await app(inner, receiving, sending)
        log(("returned",))

    return seen


async def perform(mount: Mount, app: ASGIApp, scope: Scope, incoming: Sequence[Any], refuse: Any) -> Transcript:
    transcript = Transcript()
    server = Server(incoming, transcript, refuse)
    task = asyncio.current_task()
    assert task is not None
    OUTSIDE.set("set outside")
    INSIDE.set("unset")
    mounted = mount(witnessed(app, server, scope, task))
    try:
        await mounted(scope, server.receive, server.send)
    except BaseException as error:
        transcript.raised, transcript.cause, transcript.context = error, error.__cause__, error.__context__
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith(OURS):
                transcript.our_frames += 1
            else:
                transcript.frames.append((frame.filename, frame.name))
    transcript.cancelling = task.cancelling()
    for _ in range(task.cancelling()):
        task.uncancel()
    transcript.inside = INSIDE.get()
    return transcript


def play(
    mount: Mount,
    app: ASGIApp,
    scope: Scope,
    incoming: Sequence[Any] = ({"type": "http.request", "body": b'{"a":1}', "more_body": False},),
    *,
    refuse: Callable[[int], Any] | None = None,  # by number of the message: an error that ``send`` raises
) -> Transcript:
    return asyncio.run(perform(mount, app, scope, incoming, refuse))


def assert_nothing_differs(
    mount: Mount, make: Callable[[], ASGIApp], scope: Callable[[], Scope], **how: Any
) -> Transcript:
    """Play without us and with us. ``how`` as for ``play``; ``incoming`` and ``refuse`` must be good for both."""
    alone, watched = play(bare, make(), scope(), **how), play(mount, make(), scope(), **how)
    assert watched.comparable() == alone.comparable()
    assert watched.shown == alone.shown
    assert alone.our_frames == 0
    return watched


def assert_only_the_id_differs(
    middleware: Callable[..., ASGIApp], make: Callable[[], ASGIApp], scope: Callable[[], Scope], **how: Any
) -> Transcript:
    """As above with the header switched on: one copied message with one more header, and nothing else."""
    alone = play(bare, make(), scope(), **how)
    watched = play(lambda app: middleware(app, prediction_id_header=DEFAULT_ID_HEADER.decode()), make(), scope(), **how)
    openings = {("server gets", n) for n, m in enumerate(alone.sent) if m.get("type") == "http.response.start"}
    watched.log = [(*entry[:2], True) if len(entry) == 3 and entry[:2] in openings else entry for entry in watched.log]
    assert watched.comparable() == alone.comparable()
    assert without_id(watched.shown) == without_id(alone.shown)
    return watched


def without_id(messages: Sequence[Message]) -> list[Message]:
    """The messages without the one header that we add; where there was none, an empty list."""
    return [
        {**message, "headers": [pair for pair in message.get("headers", ()) if pair[0] != DEFAULT_ID_HEADER]}
        if message.get("type") == "http.response.start"
        else message
        for message in messages
    ]


def trips_through_the_loop(mount: Mount, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> int:
    """How often the call hands control back before it is done; driven by hand, so nothing else runs in between."""
    call: Any = mount(app)(scope, receive, send)
    trips = 0
    try:
        while True:
            call.send(None)
            trips += 1
    except StopIteration:
        return trips
