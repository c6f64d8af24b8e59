"""OpenAI's responses, whole and as a stream of typed events.

https://platform.openai.com/docs/api-reference/responses
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from mlmon_sidecar.decode.generation import Asked, Told
from mlmon_sidecar.decode.generation_decoder import GenerationDecoder
from mlmon_sidecar.decode.loose_json import items, mapping, name_of, numbers, texts_in
from mlmon_sidecar.decode.prompt import prompt_figures
from mlmon_sidecar.decode.sides import Direction

PARAMETERS = ("temperature", "top_p", "max_output_tokens", "stream", "store")
LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class OpenAIResponsesDecoder(GenerationDecoder):
    """The finish reason is the response's status, or why it is incomplete."""

    name = "openai_responses"
    operation = "chat"
    paths = ("/v1/responses", "/openai/responses")
    stream_marks = (b'"response.created"', b"event: response.")

    def shape(self, document: Mapping[str, Any], direction: Direction) -> str:
        if direction is Direction.RESPONSE and document.get("object") == "response":
            return "object is response"
        return ""

    def asked(self, document: Mapping[str, Any], *, keep_text: bool) -> Asked:
        given = document.get("input")
        parts = list(map(mapping, items(given)))
        texts = [text for text in (document.get("instructions"), given) if isinstance(text, str)]
        texts += chain.from_iterable(texts_in(part.get("content")) for part in parts)
        figures = prompt_figures(texts, keep_text=keep_text)
        return Asked(
            self.operation,
            self.system,
            model=name_of(document.get("model")),
            features={
                "input.messages": len(parts) or 1,
                "input.chars": figures.chars,
                "input.tools": len(items(document.get("tools"))),
                **numbers(document, PARAMETERS),
            },
            text_bytes=figures.size,
            text=figures.text,
        )

    def tell(self, told: Told, document: Mapping[str, Any], event: str, chunk: int) -> None:
        if not event:
            told.named(document)
            self._output(told, document, chunk)
            self._conclude(told, document)
            return
        kind = name_of(document.get("type"))
        response = mapping(document.get("response"))
        told.named(response)
        number = document.get("output_index")
        if kind == "response.output_text.delta":
            told.text(told.choice(0), document.get("delta"), chunk)
            for token in map(mapping, items(document.get("logprobs"))):
                told.logprob(token.get("logprob"))
        elif kind in {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}:
            told.thought(document.get("delta"), chunk)
        elif kind == "response.refusal.delta":
            told.refusal(document.get("delta"), chunk)
        elif kind == "response.function_call_arguments.delta":
            told.call(0, number if isinstance(number, int) else 0, document.get("delta"), chunk)
        elif kind == "response.output_item.added" and _is_call(mapping(document.get("item"))):
            told.call(0, number if isinstance(number, int) else 0, "", chunk)
        elif kind in LAST_EVENTS:
            told.done = True
            self._conclude(told, response)
        elif kind == "error" or document.get("error"):
            told.failed(document.get("error"), document.get("code"))

    def _output(self, told: Told, response: Mapping[str, Any], chunk: int) -> None:
        for number, item in enumerate(map(mapping, items(response.get("output")))):
            if _is_call(item):
                told.call(0, number, item.get("arguments"), chunk)
            for part in map(mapping, items(item.get("content"))):
                told.refusal(part.get("refusal"), chunk)
                told.text(told.choice(0), part.get("text"), chunk)
                for token in map(mapping, items(part.get("logprobs"))):
                    told.logprob(token.get("logprob"))

    def _conclude(self, told: Told, response: Mapping[str, Any]) -> None:
        told.usage(response.get("usage"), "input_tokens", "output_tokens")
        reason = mapping(response.get("incomplete_details")).get("reason")
        told.finished(told.choice(0), reason or response.get("status"))
        if response.get("error") or response.get("status") == "failed":
            error = mapping(response.get("error"))
            told.failed(error, error.get("code"))


def _is_call(item: Mapping[str, Any]) -> bool:
    return name_of(item.get("type")).endswith("_call")
