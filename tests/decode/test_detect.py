"""Which protocol a body is in, and how that is remembered."""

from collections.abc import Callable

import pytest
from decode_run import JSON, Make, run

from mlmon_sidecar.decode import DECODERS, detect
from mlmon_sidecar.decode import exchange as exchange_module
from mlmon_sidecar.decode.detect import Detection
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason


class Fake:
    """Claims what ``test`` says, and reads it unless it is told not to."""

    def __init__(self, name: str, test: Callable[[Side], bool], reads: bool = True) -> None:
        self.name, self._test, self.reads = name, test, reads
        self.asked: list[str] = []

    def claims(self, side: Side, direction: Direction) -> str:
        self.asked.append(side.path)
        return f"it is {self.name}" if self._test(side) else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        if not self.reads:
            raise DecodeError("no", code=DropReason.MALFORMED)
        return RequestRows(1, {"by": [self.name]})

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        return Answers(Outputs([0.5], [None], [0.5]))


def found(detection: Detection, side: Side, wanted: str = "auto") -> list[tuple[str, str]]:
    return [(claim.decoder.name, claim.reason) for claim in detection.claims(side, wanted)]


@pytest.fixture
def side(exchange: Make) -> Callable[..., Side]:
    def make(body: object = b"{}", path: str = "/p", media_type: bytes = b"application/json") -> Side:
        headers = ((b"content-type", media_type),) if media_type else ()
        return Side.of(exchange(body, b"{}", path=path, request_headers=headers), Direction.REQUEST)

    return make


MakeSide = Callable[..., Side]


def test_the_first_that_claims_reads(side: MakeSide) -> None:
    table = {"never": Fake("never", lambda _: False), "a": Fake("a", lambda _: True), "b": Fake("b", lambda _: True)}
    assert found(Detection(table), side()) == [("a", "it is a")]
    assert found(Detection(table), side(), "b") == [("b", "by configuration")]
    with pytest.raises(DecodeError) as caught:
        found(Detection({"never": table["never"]}), side())
    assert caught.value.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "other",
    [
        {"body": {"b": 1}}, {"body": {"a": [1]}}, {"body": {"a": {"x": 1}}}, {"body": [1]}, {"body": b"not JSON"},
        {"path": "/q"}, {"media_type": b"text/json"}, {"media_type": b""},
    ],
    ids=str,
)  # fmt: skip
def test_asked_once_for_each_path_type_and_shape(side: MakeSide, other: dict[str, object]) -> None:
    fake = Fake("a", lambda _: True)
    detection = Detection({"a": fake})
    same = {"body": {"a": 1}, "path": "/p"}
    for body in ({"a": 1}, {"a": 2.5}, {"a": "x"}):
        next(iter(detection.claims(side(**{**same, "body": body}))))
    assert fake.asked == ["/p"]
    next(iter(detection.claims(side(**{**same, **other}))))
    assert len(fake.asked) == 2


def test_what_is_remembered_is_bounded(side: MakeSide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detect, "MAX_REMEMBERED", 10)
    detection = Detection({"a": Fake("a", lambda _: True)})
    for at in range(100):
        found(detection, side(path=f"/{at}"))
        assert len(detection._remembered) <= 10


def test_a_body_that_the_remembered_one_cannot_read_is_looked_at_afresh(
    exchange: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Fake("first", lambda side: b"first" in side.body)
    table = {"first": first, "second": Fake("second", lambda _: True)}
    monkeypatch.setattr(exchange_module, "DETECTION", Detection(table))
    one, other = exchange({"a": "first"}, {}), exchange({"a": "other"}, {}, prediction_id="b")
    assert run(one).batches[0].features == {"by": ["first"]}
    first.reads = False
    assert run(other).batches[0].features == {"by": ["second"]}
    first.reads = True
    assert run(other).batches[0].features == {"by": ["second"]}
    first.reads = table["second"].reads = False
    assert run(one).dropped == {"malformed": 1}


@pytest.mark.parametrize(
    ("media_type", "body", "read"),
    [
        (b"application/json", b"{}", True), (b"application/x+json; v=1", b"{}", True), (b"", b"nonsense", True),
        (b"text/plain", b' {"a": 1}', True), (b"application/x-www-form-urlencoded", b'{"a": 1}', True),
        (b"application/octet-stream", b"[1]", True), (b"text/plain", b"17", False), (b"text/plain", b"{", False),
        (b"text/html", b"{}", False), (b"image/png", b"{}", False),
    ],
)  # fmt: skip
def test_json_is_read_where_it_is_declared_or_plain(side: MakeSide, media_type: bytes, body: bytes, read: bool) -> None:
    assert bool(DECODERS["json"].claims(side(body, media_type=media_type), Direction.REQUEST)) is read


def test_the_two_sides_are_in_protocols_of_their_own(exchange: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Fake("lines", lambda side: side.media_type == "text/csv")
    monkeypatch.setattr(exchange_module, "DETECTION", Detection({"lines": lines, **DECODERS}))
    csv = exchange(b"1,2", {"score": 0.5}, request_headers=((b"content-type", b"text/csv"),))
    batch = run(csv).batches[0]
    assert (batch.features, batch.score.tolist()) == ({"by": ["lines"]}, [0.5])
    back = exchange({"a": 1}, b"0.5", response_headers=((b"content-type", b"text/csv"),), request_headers=(JSON,))
    assert run(back).batches[0].features == {"a": [1]}


def test_a_picture_is_not_looked_into(exchange: Make) -> None:
    one = exchange(
        b"", {}, request_headers=((b"content-type", b"image/png"),), request_body=(), request_bytes=5_000_000
    )
    picture = Side.of(one, Direction.REQUEST)
    assert (picture.body, picture.size, picture.media_type) == (b"", 5_000_000, "image/png")
