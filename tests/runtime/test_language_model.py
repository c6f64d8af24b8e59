"""A stream of 200 chunks through a real uvicorn: times and tokens as the application itself knows them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import orjson
import pytest
from runtime_serving import ID, TOKEN, Served, eventually, reading, serving, stored
from served_llm import CHUNKS, PROMPT_TOKENS

STREAMS = 15
CONFIGURATION = """
store = "sqlite:///mlmon.db"
flush_interval_seconds = 0.1
[tokens]
label = "{folder}/token"
read = "{folder}/token"
[models.chat]
routes = ["POST /v1/chat/completions"]
[privacy]
store_features = ["input.tokens", "output.tokens", "time_to_first_token_ms", "tokens_estimated", "output.chars"]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("llm")
    (folder / "token").write_text(TOKEN + "\n")
    (folder / "mlmon.toml").write_text(CONFIGURATION.format(folder=folder))
    with serving(folder, "served_llm:language_model") as served:
        yield served


def request(number: int) -> dict[str, Any]:
    return {
        "model": "tiny",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": CHUNKS + number,
        "user": str(number),
        "messages": [{"role": "user", "content": "What is the answer?"}],
    }


def columns(folder: Path) -> dict[str, dict[str, Any]]:
    """Response id to what was stored of it."""
    return {alias: orjson.loads(features) for alias, features in stored(folder, "alias, features") if alias}


def test_times_and_tokens_of_streams_are_the_true_ones(
    served: Served, record_property: Callable[[str, object], None]
) -> None:
    for number in range(STREAMS):
        answer = served.client.post("/v1/chat/completions", json=request(number))
        assert answer.text.count("data: ") == CHUNKS + 4
        assert ID in answer.headers
    truth = served.client.get("/truth").json()
    served.counted(STREAMS)
    found = columns(served.folder)
    assert found.keys() == truth.keys() == {f"chatcmpl-{number}" for number in range(STREAMS)}
    for number in range(STREAMS):
        row = found[f"chatcmpl-{number}"]
        assert (row["input.tokens"], row["output.tokens"]) == (PROMPT_TOKENS, CHUNKS + number)
        assert row["tokens_estimated"] is False
    apart = [found[name]["time_to_first_token_ms"] - truth[name] / 1e6 for name in truth]
    record_property("time_to_first_token_apart_ms", [round(each, 3) for each in sorted(apart)])
    assert abs(median(apart)) < 2, sorted(apart)  # one of them may wait for a busy machine


def test_a_stream_that_its_client_leaves_is_no_prediction(served: Served) -> None:
    with httpx.stream("POST", f"{served.url}/v1/chat/completions", json=request(900)) as answer:
        next(answer.iter_raw())
    assert served.counted(STREAMS + 1)["dropped"] == {"body_cut_off": 1}
    assert len(stored(served.folder)) == STREAMS


def test_of_a_stream_longer_than_its_cap_the_end_is_kept(served: Served) -> None:
    answer = served.client.post("/v1/chat/completions", json=request(950) | {"word": "w" * 3_000})
    assert len(answer.content) > CHUNKS * 3_000
    served.counted(STREAMS + 2)
    row = columns(served.folder)["chatcmpl-950"]
    assert (row["input.tokens"], row["output.tokens"], row["tokens_estimated"]) == (PROMPT_TOKENS, CHUNKS + 950, False)
    assert row["time_to_first_token_ms"] > 0
    assert "output.chars" not in row


def test_a_label_names_the_answer_by_its_id(served: Served) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    label = {"id": "chatcmpl-3", "label": "helpful"}
    said = served.client.post("/mlmon/feedback", json=[label], headers=headers)
    assert said.status_code in {200, 202, 207}, said.text
    joined = lambda: _states(served.folder)  # noqa: E731 - asked again each time
    eventually(joined, lambda states: states == ["joined"])


def _states(folder: Path) -> list[str]:
    with closing(reading(folder)) as connection:
        return [row[0] for row in connection.execute("SELECT state FROM labels")]
