"""Built from ``_tap.c`` where there is a compiler."""

def setup(*given: object) -> None: ...

class Tap: ...

class Body:
    chunks: list[bytes]
    room: int

class Lane:
    accepted: int
    dropped: int
    ignored: int
    bytes_queued: int
