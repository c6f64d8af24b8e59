"""Outcomes go out when they are known, once, and wait on when they cannot be sent."""

from collections.abc import Sequence

import pytest

from mlmon_sidecar.demo.labels import KnownOutcome, LabelDesk
from mlmon_sidecar.demo.replay import Answered
from mlmon_sidecar.demo.schedule import DAY, label_due
from mlmon_sidecar.errors import FeedbackError


class Hub:
    def __init__(self) -> None:
        self.now = 0.0
        self.away = False
        self.batches: list[list[KnownOutcome]] = []

    def send(self, known: Sequence[KnownOutcome]) -> int:
        if self.away:
            raise FeedbackError("away", code="hub_unreachable")
        self.batches.append(list(known))
        return len(known)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def desk(hub: Hub) -> LabelDesk:
    desk = LabelDesk(hub.send, lambda: hub.now)
    for row_id in range(100):
        desk.answered(Answered(row_id, f"p{row_id}", sent=10.0 * row_id))
    return desk


def test_nothing_is_known_at_first(hub: Hub, desk: LabelDesk) -> None:
    hub.now = 0.99 * DAY
    desk.send_known()
    assert hub.batches == [[]]
    assert (desk.requests, desk.all_sent) == (100, False)


def test_each_goes_out_once_in_order_and_not_early(hub: Hub, desk: LabelDesk) -> None:
    for hub.now in (1.2 * DAY, 1.6 * DAY, 2.1 * DAY):
        desk.send_known()
        assert all(known.known_since <= hub.now for known in hub.batches[-1])
    sent = [known for batch in hub.batches for known in batch]
    assert all(len(batch) > 10 for batch in hub.batches)
    assert sent == sorted(sent)
    assert sent == sorted((label_due(i, 10.0 * i), f"p{i}", i) for i in range(100))
    assert desk.all_sent


def test_what_cannot_be_sent_is_sent_later(hub: Hub, desk: LabelDesk) -> None:
    hub.now, hub.away = 3.0 * DAY, True
    with pytest.raises(FeedbackError):
        desk.send_known()
    assert not desk.all_sent
    hub.away = False
    desk.send_known()
    assert len(hub.batches[0]) == 100
    assert desk.all_sent
