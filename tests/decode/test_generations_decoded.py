"""What language models' protocols say, from recorded and hand-written answers, to the last figure."""

import gzip
import math
import time
import zlib
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_exchanges import (
    MS,
    NAMES,
    STARTED_NS,
    chunks_of,
    exchange_of,
    fixture,
    generation,
    row,
    run,
    stream_exchange,
)

from mlmon_sidecar.decode import DECODERS, generates
from mlmon_sidecar.decode.generation import MAX_CHOICES
from mlmon_sidecar.decode.sides import Direction, Side
from mlmon_sidecar.records import DropReason, End, Exchange, GenerationEnd

DONE: dict[str, dict[str, Any]] = {
    "litellm_chat": {"decoder": "openai_chat", "in": 10, "out": 20, "chars": 37, "model": "canned"},
    "litellm_chat_stream": {"decoder": "openai_chat", "in": 19, "out": 10, "chars": 37, "first": 404.919},
    "litellm_completions": {"decoder": "openai_completions", "in": 10, "out": 20, "chars": 37},
    "litellm_completions_stream": {"decoder": "openai_completions", "in": 10, "out": 10, "chars": 37, "first": 14.504},
    "litellm_responses": {"decoder": "openai_responses", "in": 36, "out": 87, "chars": 37, "finish": "completed"},
    "litserve_chat": {"decoder": "openai_chat", "in": 11, "out": 5, "chars": 17, "model": "lit"},
    "litserve_chat_stream": {"decoder": "openai_chat", "in": 11, "out": 5, "chars": 17, "first": 7.448},
    "llamacpp_chat_stream": {
        "decoder": "openai_chat", "in": 4, "out": 2, "chars": 6, "estimated": True, "finish": "length", "first": 47.5,
        "truncated": True,
    },
    "openai_chat_choices": {
        "decoder": "openai_chat", "in": 10, "out": 6, "chars": 8, "finish": "length", "truncated": True,
        "confidence": math.exp((-0.5 - 0.1 - 0.3) / 3), "model": "gpt-4o-2024-08-06",
    },
    "openai_chat_refusal_stream": {
        "decoder": "openai_chat", "in": 4, "out": 6, "chars": 0, "refusal": True, "estimated": True, "first": 40.0,
    },
    "openai_chat_tools_stream": {
        "decoder": "openai_chat", "in": 61, "out": 33, "chars": 0, "finish": "tool_calls", "calls": 2, "first": 47.5,
    },
    "openai_completions_choices": {
        "decoder": "openai_completions", "in": 2, "out": 2, "chars": 10, "finish": "length", "truncated": True,
        "confidence": math.exp(-0.3),
    },
    "openai_responses_incomplete_stream": {
        "decoder": "openai_responses", "in": 5, "out": 16, "chars": 4, "finish": "max_output_tokens",
        "truncated": True, "first": 47.5,
    },
    "openai_responses_stream": {
        "decoder": "openai_responses", "in": 37, "out": 11, "chars": 9, "finish": "completed", "calls": 1,
        "first": 70.0, "model": "gpt-4.1-2025-04-14",
    },
    "tgi_generate": {
        "decoder": "tgi", "in": 2, "out": 4, "chars": 18, "finish": "eos_token", "confidence": math.exp(-0.3),
        "model": "unversioned",
    },
    "tgi_generate_stream": {
        "decoder": "tgi", "in": 6, "out": 3, "chars": 13, "finish": "eos_token", "first": 40.0,
        "confidence": math.exp(-0.2),
    },
    "tgi_root_list": {"decoder": "tgi", "in": 2, "out": 3, "chars": 11, "estimated": True, "finish": None},
    "vllm_chat_reasoning_stream": {"decoder": "openai_chat", "in": 14, "out": 7, "chars": 6, "first": 47.5},
}  # fmt: skip
FAILED = {
    "litellm_chat_error": "429",
    "litellm_responses_stream": "500",
    "openai_responses_failed_stream": "server_error",
    "tgi_stream_error": "generation",
    "vllm_chat_error_stream": "InternalServerError",
}
EMBEDDED = ["litserve_embeddings", "openai_embeddings_base64"]
STREAMED = [name for name in NAMES if name.endswith("_stream")]


def test_every_fixture_is_expected_and_says_where_it_is_from() -> None:
    assert set(NAMES) == {*DONE, *FAILED, *EMBEDDED}
    assert all(fixture(name)["origin"].startswith(("recorded from ", "written by hand after ")) for name in NAMES)


def test_a_gateways_long_id_is_an_alias() -> None:
    (alias,) = run(exchange_of("litellm_responses")).batches[0].aliases
    assert alias is not None
    assert len(alias) > 400


@pytest.mark.parametrize("name", DONE)
def test_a_finished_generation_is_one_row(name: str) -> None:
    expected = DONE[name]
    (batch,) = run(exchange_of(name)).batches
    found = row(exchange_of(name))
    assert batch.predicted == [expected.get("finish", "stop")] == [found["finish_reason"]]
    assert (found["input.tokens"], found["output.tokens"]) == (expected["in"], expected["out"])
    assert found["tokens_estimated"] is expected.get("estimated", False)
    assert found["output.chars"] == expected["chars"]
    assert found["time_to_first_token_ms"] == expected.get("first")
    assert found["tool_calls"] == expected.get("calls", 0)
    assert [found["refusal"], found["truncated"], found["empty"]] == [
        expected.get("refusal", False),
        expected.get("truncated", False),
        False,
    ]
    assert float(batch.confidence[0]) == pytest.approx(expected.get("confidence", math.nan), nan_ok=True)
    if "model" in expected:
        assert batch.version == expected["model"]
    if expected.get("first") is not None:
        times = fixture(name)["chunks_ms"]
        each = (times[-1] - expected["first"]) / (expected["out"] - 1)
        assert found["time_per_output_token_ms"] == pytest.approx(each)


@pytest.mark.parametrize("name", [*DONE, *EMBEDDED])
def test_the_protocol_is_found_and_the_reason_said(name: str) -> None:
    wanted = DONE[name]["decoder"] if name in DONE else "openai_embeddings"
    for direction in Direction:
        side = Side.of(exchange_of(name), direction)
        claims = {decoder.name: decoder.claims(side, direction) for decoder in DECODERS.values()}
        assert next(known for known, reason in claims.items() if reason) == wanted


@pytest.mark.parametrize("name", [n for n in DONE if n not in {"litellm_completions_stream"}])
def test_an_answer_is_known_by_its_shape_on_any_path(name: str) -> None:
    exchange = exchange_of(name, path="/ask", request_body=(b'{"question": 1}',), request_bytes=15)
    found = generation(exchange)
    assert (found.output_tokens, found.output_chars) == (DONE[name]["out"], DONE[name]["chars"])
    assert row(exchange)["question"] == 1


@pytest.mark.parametrize("name", FAILED)
def test_an_error_is_no_prediction_and_keeps_its_figures(name: str) -> None:
    decoded = run(exchange_of(name))
    assert decoded.batches == []
    assert decoded.dropped == {DropReason.NOT_A_PREDICTION: 1}
    (generated,) = decoded.generations
    assert generated.generation.end is GenerationEnd.ERROR
    assert generated.generation.error_type == FAILED[name]
    assert generated.generation.request_model == fixture(name)["request"].get("model", "")


def test_embeddings_are_one_row_a_text() -> None:
    decoded = run(exchange_of("litserve_embeddings"))
    (batch,) = decoded.batches
    document = orjson.loads(gzip.decompress(b"".join(chunks_of(fixture("litserve_embeddings")))))
    vectors = [item["embedding"] for item in document["data"]]
    assert batch.features["input.chars"] == [5, 4]
    assert batch.features["output.norm"] == pytest.approx([np.linalg.norm(vector) for vector in vectors])
    assert batch.features["output.dimension"] == [96, 96]
    assert batch.predicted == [None, None]
    assert (decoded.generations[0].generation.input_tokens, decoded.generations[0].generation.empty) == (9, False)


def test_vectors_in_base64_are_the_same_vectors() -> None:
    found = row(exchange_of("openai_embeddings_base64"))
    vector = [round(((at * 37) % 101) / 100 - 0.5, 2) for at in range(70)]
    assert found["output.norm"] == pytest.approx(np.linalg.norm(vector), rel=1e-6)


def test_texts_and_vectors_of_different_number_are_a_mismatch() -> None:
    body = orjson.dumps({"input": ["a", "b", "c"], "model": "lit"})
    decoded = run(exchange_of("litserve_embeddings", request_body=(body,), request_bytes=len(body)))
    assert decoded.dropped == {DropReason.ROW_MISMATCH: 1}


@pytest.mark.parametrize("name", ["litellm_chat_stream", "openai_chat_tools_stream", "tgi_generate_stream"])
def test_an_aborted_stream_keeps_what_arrived(name: str) -> None:
    whole = exchange_of(name)
    cut = whole.response_body[:2]
    exchange = whole._replace(
        response_body=cut, response_bytes=sum(map(len, cut)), end=End.DISCONNECT, ended_ns=whole.chunk_ns[1]
    )
    decoded = run(exchange)
    assert decoded.batches == []
    assert decoded.dropped == {DropReason.BODY_CUT_OFF: 1}
    (generated,) = decoded.generations
    found = generated.generation
    assert (found.end, found.error_type) == (GenerationEnd.ABORT, "")
    assert found.request_model == fixture(name)["request"].get("model", "")
    assert found.time_to_first_token_ns == round(DONE[name]["first"] * MS)
    assert found.time_per_output_token_ns is None
    assert found.output_tokens is not None


def test_an_aborted_request_without_an_answer_is_told_too() -> None:
    found = generation(exchange_of("litellm_chat", response_body=(), response_bytes=0, status=0, end=End.DISCONNECT))
    assert (found.end, found.request_model) == (GenerationEnd.ABORT, "canned")


def test_an_application_that_raises_in_the_middle() -> None:
    exchange = exchange_of("litserve_chat_stream", end=End.ERROR, error_type="RuntimeError")
    assert generation(exchange).error_type == "RuntimeError"
    assert run(exchange).dropped == {DropReason.APPLICATION_ERROR: 1}


@pytest.mark.parametrize("name", [name for name in STREAMED if name in DONE])
def test_a_stream_that_ends_without_saying_so_is_no_prediction(name: str) -> None:
    whole = exchange_of(name)
    cut = whole.response_body[:2]
    exchange = whole._replace(response_body=cut, response_bytes=sum(map(len, cut)))
    if name == "openai_chat_refusal_stream":
        exchange = exchange._replace(response_body=cut[:1], response_bytes=len(cut[0]))
    assert run(exchange).dropped == {DropReason.BODY_CUT_OFF: 1}
    assert generation(exchange).error_type == "incomplete_stream"


@given(st.sampled_from([name for name in STREAMED if name in DONE]), st.lists(st.integers(1, 3000), max_size=6))
def test_any_split_of_a_stream_gives_the_same_figures(name: str, cuts: list[int]) -> None:
    whole = exchange_of(name)
    body = b"".join(whole.response_body)
    edges = [0, *sorted({min(cut, len(body)) for cut in cuts}), len(body)]
    chunks = tuple(body[start:end] for start, end in pairwise(edges) if start < end)
    split = whole._replace(response_body=chunks, chunk_ns=whole.chunk_ns[: len(chunks)])
    times = {"time_to_first_token_ns": None, "time_per_output_token_ns": None}
    assert replace(generation(split), **times) == replace(generation(whole), **times)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_stream_is_timed_by_its_own_chunks(encoding: str) -> None:
    """Flushed after each event, as compressing middleware must do for a stream to be one."""
    whole = exchange_of("openai_chat_tools_stream")
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)
    chunks = [packer.compress(chunk) + packer.flush(zlib.Z_SYNC_FLUSH) for chunk in whole.response_body]
    packed = whole._replace(
        response_headers=(*whole.response_headers, (b"content-encoding", encoding.encode())),
        response_body=tuple(chunks),  # without the end of the compressed stream: an abort has none
        response_bytes=sum(map(len, chunks)),
    )
    assert generation(packed) == generation(whole)


def long_stream(tokens: int, *, usage: bool = True) -> tuple[list[bytes], list[float]]:
    def event(choices: list[Any], **more: Any) -> bytes:
        document = {"id": "c", "object": "chat.completion.chunk", "model": "v1", "choices": choices, **more}
        return b"data: " + orjson.dumps(document) + b"\n\n"

    chunks = [event([{"index": 0, "delta": {"role": "assistant"}}])]
    chunks += [event([{"index": 0, "delta": {"content": "word "}}]) for _ in range(tokens)]
    chunks.append(event([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    if usage:
        chunks.append(event([], usage={"prompt_tokens": 3, "completion_tokens": tokens}))
    chunks.append(b"data: [DONE]\n\n")
    return chunks, [10.0 + at for at in range(len(chunks))]


@pytest.mark.parametrize("cut_inside", [0, 17])
def test_of_a_stream_longer_than_its_cap_the_tail_tells_the_end(cut_inside: int) -> None:
    chunks, times = long_stream(5000)
    tail = list(chunks[-4:])
    tail[0] = tail[0][cut_inside:]
    exchange = stream_exchange(tuple(chunks), times)._replace(
        response_body=tuple(chunks[:100]), response_tail=tuple(tail)
    )
    found = generation(exchange)
    assert (found.input_tokens, found.output_tokens, found.tokens_estimated) == (3, 5000, False)
    assert (found.finish_reasons, found.end, found.partial) == (("stop",), GenerationEnd.DONE, True)
    assert found.time_to_first_token_ns == 11 * MS
    assert row(exchange)["output.chars"] is None


def test_a_first_token_after_the_gap_has_no_time() -> None:
    chunks, times = long_stream(3)
    exchange = stream_exchange(tuple(chunks), times)._replace(
        response_body=(b": keep-alive\n\n",), response_tail=tuple(chunks)
    )
    found = generation(exchange)
    assert (found.output_tokens, found.partial, found.time_to_first_token_ns) == (3, True, None)


def test_without_usage_a_stream_with_a_gap_has_no_token_count() -> None:
    chunks, times = long_stream(5000, usage=False)
    exchange = stream_exchange(tuple(chunks), times)._replace(
        response_body=tuple(chunks[:100]), response_tail=tuple(chunks[-3:])
    )
    found = generation(exchange)
    assert (found.output_tokens, found.tokens_estimated, found.time_per_output_token_ns) == (None, True, None)


def test_a_first_token_beyond_the_timed_chunks_has_no_time() -> None:
    chunks, times = long_stream(20)
    silent = [b": keep-alive\n\n"] * 8
    found = generation(stream_exchange((*silent, *chunks), [*range(8), *times]))
    assert found.time_to_first_token_ns is None
    assert found.time_per_output_token_ns is None
    assert found.output_tokens == 20


def test_two_hundred_chunks_give_the_true_times() -> None:
    chunks, times = long_stream(200)
    found = generation(stream_exchange(tuple(chunks), times))
    assert found.time_to_first_token_ns == 11 * MS
    assert found.time_per_output_token_ns == pytest.approx((times[-1] - 11) * MS / 199)
    assert found.duration_ns == round(times[-1] * MS)


def test_content_is_nowhere_unless_it_is_asked_for() -> None:
    exchange = exchange_of("litserve_chat_stream")
    decoded = run(exchange)
    assert "answer" not in repr(decoded)
    found = generation(exchange, content=True)
    assert (found.input_text, found.output_text) == ("Be short.\nWhat is the answer?", "The answer is 42.")
    assert "The answer" not in repr(run(exchange, content=True).batches)


def test_prompt_and_answer_as_text_features() -> None:
    exchange = exchange_of("litserve_chat_stream")
    found = row(exchange, text=frozenset({"input.text", "output.text"}))
    assert (found["input.text.words"], found["output.text.words"], found["output.text.length"]) == (6, 4, 17)
    assert "input.text" not in found
    embedded = row(exchange_of("openai_embeddings_base64"), text=frozenset({"input.text"}))
    assert embedded["input.text.length"] == 5


@pytest.mark.parametrize("decoder", ["openai_chat", "openai_completions", "openai_responses", "tgi"])
@given(document=st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 300), st.text(max_size=5), st.floats(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([
            "choices", "delta", "message", "content", "index", "usage", "error", "type", "tool_calls", "logprobs",
            "finish_reason", "token", "details", "response", "output", "text", "completion_tokens", "id", "model",
            "item", "generated_text", "refusal", "function_call", "prefill", "status", "incomplete_details",
        ]), inner, max_size=5),
    ),
    max_leaves=20,
))  # fmt: skip
def test_odd_documents_are_counted_and_never_an_internal_error(decoder: str, document: Any) -> None:
    body = orjson.dumps(document)
    stream = b"data: " + body + b"\n\n"
    for exchange in (
        stream_exchange((stream,), [1.0], request_body=(body,), request_bytes=len(body)),
        stream_exchange((stream,), [1.0]),
        stream_exchange((body,), [1.0], response_headers=((b"content-type", b"application/json"),)),
    ):
        decoded = run(exchange, decoder=decoder)
        assert decoded.exchanges + sum(decoded.dropped.values()) == 1
        assert DropReason.INTERNAL_ERROR not in decoded.dropped


def test_numbers_of_choices_and_calls_are_bounded() -> None:
    choices = [{"index": at, "delta": {"tool_calls": [{"index": at}]}} for at in range(10 * MAX_CHOICES)]
    stream = b"data: " + orjson.dumps({"choices": choices}) + b"\n\ndata: [DONE]\n\n"
    found = generation(stream_exchange((stream,), [1.0]))
    assert found.choices <= MAX_CHOICES
    assert found.tool_calls <= MAX_CHOICES


def test_an_answer_without_a_completion_is_none() -> None:
    exchange = stream_exchange((b'{"ok": true}',), [1.0], response_headers=((b"content-type", b"application/json"),))
    assert run(exchange).dropped == {DropReason.WRONG_SHAPE: 1}


def test_health_of_other_protocols_is_not_ours() -> None:
    assert generates("/v1/chat/completions", "auto")
    assert generates("/odd", "tgi")
    assert not generates("/v2/models/m/infer", "auto")


def test_times_are_counted_from_the_requests_start() -> None:
    exchange: Exchange = exchange_of("litserve_chat_stream")
    assert exchange.started_ns == STARTED_NS
    later = exchange._replace(started_ns=STARTED_NS - 100 * MS)
    first, second = generation(exchange).time_to_first_token_ns, generation(later).time_to_first_token_ns
    assert first is not None
    assert second == first + 100 * MS


def test_answers_that_end_alike_differ_in_their_score() -> None:
    """Else a hundred healthy answers that all end with "stop" would look like a model that always says the same."""
    (batch,) = run(exchange_of("litserve_chat"), exchange_of("litserve_chat_stream", prediction_id="2")).batches
    assert batch.score.tolist() == [17.0, 17.0]
    assert run(exchange_of("litellm_chat")).batches[0].score.tolist() == [37.0]
    assert run(exchange_of("openai_chat_tools_stream")).batches[0].score.tolist() == [17.0]
    assert run(exchange_of("vllm_chat_reasoning_stream")).batches[0].score.tolist() == [17.0]


@pytest.mark.parametrize(
    "unit", [b"data: {}\n\n", b"data: {\n\n", b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n']
)
def test_time_grows_with_the_length_of_a_stream(unit: bytes) -> None:
    def cost(size: int) -> float:
        exchange = stream_exchange((unit * (size // len(unit)),), [1.0])
        best = math.inf
        for _ in range(3):
            begun = time.process_time()
            run(exchange)
            best = min(best, time.process_time() - begun)
        return best

    assert cost(400_000) < 12 * cost(100_000) + 0.02
