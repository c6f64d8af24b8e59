"""Built from ``_tap.c`` where there is a compiler."""

def setup(*given: object) -> None: ...
def opened(process: object, scope: object, receive: object, send: object) -> tuple[Tap, object, object] | None: ...
def ended(tap: Tap, error: BaseException | None) -> None: ...

class Tap: ...

class Plan:
    def __init__(self, capture: object) -> None: ...

class Store: ...
class Gate: ...

class Fuse:
    tripped: bool

class Body:
    chunks: list[bytes]
    room: int
    times: list[int]

class Lane:
    accepted: int
    dropped: int
    ignored: int
    bytes_queued: int
