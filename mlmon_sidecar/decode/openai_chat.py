"""OpenAI-compatible chat completions, whole and streamed: OpenAI, vLLM, llama.cpp, TGI, LiteLLM, LitServe and more.

https://platform.openai.com/docs/api-reference/chat
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

PARAMETERS = (
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "stream", "seed", "presence_penalty",
    "frequency_penalty",
)  # fmt: skip


class OpenAIChatDecoder(GenerationDecoder):
    name = "openai_chat"
    operation = "chat"
    paths = ("/chat/completions",)
    stream_marks = (b'"chat.completion.chunk"',)

    def shape(self, document: Mapping[str, Any], direction: Direction) -> str:
        if direction is Direction.RESPONSE:
            return "object is chat.completion" if document.get("object") == "chat.completion" else ""
        messages = document.get("messages")
        if "model" in document and isinstance(messages, list) and messages and "role" in mapping(messages[0]):
            return "body has model and messages[].role"
        return ""

    def asked(self, document: Mapping[str, Any], *, keep_text: bool) -> Asked:
        messages = [mapping(message) for message in items(document.get("messages"))]
        texts = list(chain.from_iterable(texts_in(message.get("content")) for message in messages))
        figures = prompt_figures(texts, keep_text=keep_text)
        return Asked(
            self.operation,
            self.system,
            model=name_of(document.get("model")),
            features={
                "input.messages": len(messages),
                "input.chars": figures.chars,
                "input.tools": len(items(document.get("tools")) or items(document.get("functions"))),
                **numbers(document, PARAMETERS),
            },
            text_bytes=figures.size,
            text=figures.text,
        )

    def tell(self, told: Told, document: Mapping[str, Any], event: str, chunk: int) -> None:
        told.named(document)
        if document.get("error") or document.get("object") == "error":  # vLLM has the error's parts at the top
            told.failed(document.get("error") or document)
            return
        told.usage(document.get("usage"), "prompt_tokens", "completion_tokens")
        for choice in map(mapping, items(document.get("choices"))):
            number = told.choice(choice.get("index"))
            told.finished(number, choice.get("finish_reason"))
            message = mapping(choice.get("delta")) or mapping(choice.get("message"))
            for text in texts_in(message.get("content")):
                told.text(number, text, chunk)
            told.thought(message.get("reasoning_content") or message.get("reasoning"), chunk)
            told.refusal(message.get("refusal"), chunk)
            for at, call in enumerate(map(mapping, items(message.get("tool_calls")))):
                index = call.get("index")
                told.call(
                    number,
                    index if isinstance(index, int) else at,
                    mapping(call.get("function")).get("arguments"),
                    chunk,
                )
            if message.get("function_call"):  # what tool calls were before they had that name
                told.call(number, 0, mapping(message["function_call"]).get("arguments"), chunk)
            for token in map(mapping, items(mapping(choice.get("logprobs")).get("content"))):
                told.logprob(token.get("logprob"))
