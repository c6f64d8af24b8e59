"""Hugging Face Text Generation Inference: ``/generate``, ``/generate_stream`` and the root path.

https://huggingface.github.io/text-generation-inference/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlmon_sidecar.decode.generation import Asked, Told
from mlmon_sidecar.decode.generation_decoder import GenerationDecoder
from mlmon_sidecar.decode.loose_json import items, mapping, numbers
from mlmon_sidecar.decode.prompt import prompt_figures
from mlmon_sidecar.decode.sides import Direction, Side

PARAMETERS = (
    "temperature", "top_p", "top_k", "typical_p", "max_new_tokens", "repetition_penalty", "best_of", "do_sample",
)  # fmt: skip


class TextGenerationInferenceDecoder(GenerationDecoder):
    """Token counts are there when the client asked for ``details``; a stream's tokens are counted as they come."""

    name = "tgi"
    operation = "text_completion"
    system = "huggingface"
    paths = ("/generate", "/generate_stream")
    stream_marks = (b'"generated_text"',)

    def claims(self, side: Side, direction: Direction) -> str:
        """Other servers have a /generate too: a request has to be of this one."""
        if direction is Direction.REQUEST and not (
            side.is_json and isinstance(mapping(side.json()).get("inputs"), str)
        ):
            return ""
        reason = super().claims(side, direction)
        if not reason and direction is Direction.RESPONSE and side.is_json:
            first = next(iter(items(side.json())), None)
            reason = "body is a list with generated_text" if "generated_text" in mapping(first) else ""
        return reason

    def shape(self, document: Mapping[str, Any], direction: Direction) -> str:
        if direction is Direction.RESPONSE:
            return "body has generated_text" if "generated_text" in document else ""
        if isinstance(document.get("inputs"), str) and document.keys() <= {"inputs", "parameters", "stream"}:
            return "body has inputs as one text"
        return ""

    def asked(self, document: Mapping[str, Any], *, keep_text: bool) -> Asked:
        inputs = document.get("inputs")
        figures = prompt_figures([inputs] if isinstance(inputs, str) else [], keep_text=keep_text)
        return Asked(
            self.operation,
            self.system,
            features={"input.chars": figures.chars, **numbers(mapping(document.get("parameters")), PARAMETERS)},
            text_bytes=figures.size,
            text=figures.text,
        )

    def tell(self, told: Told, document: Mapping[str, Any], event: str, chunk: int) -> None:
        if document.get("error"):
            told.failed(document["error"], document.get("error_type"))
            return
        details, token = mapping(document.get("details")), mapping(document.get("token"))
        if not token and "generated_text" not in document:
            return
        number = told.choice(0)
        if event:
            if not token.get("special"):
                told.text(number, token.get("text"), chunk)
            told.logprob(token.get("logprob"))
            told.done = told.done or document.get("generated_text") is not None
            told.usage({"tokens": document.get("index")}, "", "tokens")  # the token's number, from 1
        else:
            told.text(number, document.get("generated_text"), chunk)
            for each in map(mapping, items(details.get("tokens"))):
                told.logprob(each.get("logprob"))
        told.finished(number, details.get("finish_reason"))
        told.usage(details, "input_length", "generated_tokens")
        if told.input_tokens is None and details.get("prefill"):
            told.input_tokens = len(items(details["prefill"]))
