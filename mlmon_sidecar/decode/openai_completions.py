"""OpenAI-compatible text completions, whole and streamed.

https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlmon_sidecar.decode.generation import Asked, Told
from mlmon_sidecar.decode.generation_decoder import GenerationDecoder
from mlmon_sidecar.decode.loose_json import items, mapping, name_of, numbers
from mlmon_sidecar.decode.prompt import prompt_figures
from mlmon_sidecar.decode.sides import Direction

PARAMETERS = ("temperature", "top_p", "max_tokens", "n", "best_of", "stream", "seed", "echo")


class OpenAICompletionsDecoder(GenerationDecoder):
    name = "openai_completions"
    operation = "text_completion"
    paths = ("/v1/completions", "/openai/completions")
    stream_marks = (b'"text_completion"',)

    def shape(self, document: Mapping[str, Any], direction: Direction) -> str:
        if direction is Direction.RESPONSE:
            return "object is text_completion" if document.get("object") == "text_completion" else ""
        return ""

    def asked(self, document: Mapping[str, Any], *, keep_text: bool) -> Asked:
        prompt = document.get("prompt")
        texts = [text for text in (prompt if isinstance(prompt, list) else [prompt]) if isinstance(text, str)]
        figures = prompt_figures(texts, keep_text=keep_text)
        return Asked(
            self.operation,
            self.system,
            model=name_of(document.get("model")),
            features={
                "input.prompts": len(texts) or 1,  # token ids are one prompt too
                "input.chars": figures.chars if texts else None,
                **numbers(document, PARAMETERS),
            },
            text_bytes=figures.size if texts else None,
            text=figures.text,
        )

    def tell(self, told: Told, document: Mapping[str, Any], event: str, chunk: int) -> None:
        told.named(document)
        if document.get("error") or document.get("object") == "error":
            told.failed(document.get("error") or document)
            return
        told.usage(document.get("usage"), "prompt_tokens", "completion_tokens")
        for choice in map(mapping, items(document.get("choices"))):
            number = told.choice(choice.get("index"))
            told.finished(number, choice.get("finish_reason"))
            told.text(number, choice.get("text"), chunk)
            for value in items(mapping(choice.get("logprobs")).get("token_logprobs")):
                told.logprob(value)
