"""Labels through a worker that is not the hub: joined, corrected, waited for; accuracy is what scikit-learn says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from runtime_serving import ID, TOKEN, Served, applicants, configure, eventually, serving
from sklearn.metrics import accuracy_score

from mlmon_sidecar import FeedbackClient, Label


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def workers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Served]]:
    """The hub, and another server process over the same store."""
    folder = tmp_path_factory.mktemp("feedback")
    store = "sqlite:///mlmon.db" if request.param == "sqlite" else request.getfixturevalue("database").emptied()
    configure(folder, models='id = "request.tx"', store=store)
    with serving(folder) as hub:
        hub.status()
        with serving(folder) as other:
            yield hub, other


@pytest.fixture
def client(workers: tuple[Served, Served]) -> Iterator[FeedbackClient]:
    with FeedbackClient(f"{workers[1].url}/mlmon", token=TOKEN) as feedback:
        yield feedback


def outcome(served: Served, labelled: int) -> dict[str, Any]:
    """What the page says about realised quality, once so many labels are joined."""
    (model,) = eventually(
        lambda: served.status()["models"], lambda models: models[0]["outcome"]["labelled"] == labelled
    )
    return model["outcome"]  # type: ignore[no-any-return]  # JSON


def later(seconds: float = 60) -> datetime:
    """After every prediction so far, whatever the clocks' last digits say."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_labels_reach_the_hub_and_accuracy_is_right(workers: tuple[Served, Served], client: FeedbackClient) -> None:
    hub, other = workers
    status = eventually(other.status, lambda found: len(found["hub"]["recorders"]) == 2)
    assert status["hub"]["pid"] == hub.client.get("/pid").json() != other.client.get("/pid").json()

    said: dict[str, str] = {}
    actual: dict[str, str] = {}
    for number, row in enumerate(applicants(60)):
        response = workers[number % 2].score(**row, tx=f"tx-{number}")
        # Even ones are named by the minted id, odd ones by the caller's own; every third prediction was wrong.
        name = response.headers[ID] if number % 4 < 2 else f"tx-{number}"
        said[name] = response.json()["prediction"]
        wrong = "defaulted" if said[name] == "repaid" else "repaid"
        actual[name] = wrong if number % 3 == 0 else said[name]
    hub.counted(60)
    receipt = client.send(Label(id=name, label=label, observed_at=later()) for name, label in actual.items())
    assert (receipt.accepted, receipt.pending, receipt.invalid) == (60, 0, 0)
    view = outcome(hub, 60)
    assert view["realised"] == pytest.approx(accuracy_score(list(actual.values()), list(said.values())), abs=1e-12)
    assert view["coverage"] == 1.0 and view["low"] < view["realised"] < view["high"]
    assert outcome(other, 60) == view, "asked of any worker"

    again = client.send(Label(id=name, label=label, observed_at=later()) for name, label in actual.items())
    assert again.duplicate == 60

    corrected = [name for name in actual if actual[name] != said[name]][:5]
    actual |= {name: said[name] for name in corrected}
    receipt = client.send(Label(id=name, label=actual[name], observed_at=later(120)) for name in corrected)
    assert receipt.corrected == 5
    expected = accuracy_score(list(actual.values()), list(said.values()))
    view = eventually(lambda: outcome(hub, 60), lambda now: now["realised"] == pytest.approx(expected, abs=1e-12))

    waiting = client.send([Label(id="tx-early", label="repaid", observed_at=later())])
    assert waiting.pending == 1 and waiting.items[0].id == "tx-early"
    assert outcome(hub, 60) == view, "nothing moves until the prediction comes"
    answer = other.score(income=90_000, loan=1_000, tx="tx-early").json()
    said["tx-early"], actual["tx-early"] = answer["prediction"], "repaid"
    view = outcome(hub, 61)
    assert view["realised"] == pytest.approx(accuracy_score(list(actual.values()), list(said.values())), abs=1e-12)


def test_a_wrong_token_labels_nothing(workers: tuple[Served, Served]) -> None:
    answer = workers[1].client.post(
        "/mlmon/feedback", json={"id": "tx-1", "label": "repaid"}, headers={"authorization": "Bearer " + TOKEN[:-1]}
    )
    assert answer.status_code == 401
