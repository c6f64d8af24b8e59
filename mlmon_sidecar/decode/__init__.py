"""From bodies to columns. One file per wire protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mlmon_sidecar.decode.json_decoder import JsonDecoder
from mlmon_sidecar.decode.openai_chat import OpenAIChatDecoder
from mlmon_sidecar.decode.openai_completions import OpenAICompletionsDecoder
from mlmon_sidecar.decode.openai_embeddings import OpenAIEmbeddingsDecoder
from mlmon_sidecar.decode.openai_responses import OpenAIResponsesDecoder
from mlmon_sidecar.decode.tgi import TextGenerationInferenceDecoder

if TYPE_CHECKING:
    from mlmon_sidecar.interfaces import Decoder

_GENERATING: Final = (
    OpenAIChatDecoder(),
    OpenAICompletionsDecoder(),
    OpenAIResponsesDecoder(),
    OpenAIEmbeddingsDecoder(),
    TextGenerationInferenceDecoder(),
)

DECODERS: Mapping[str, Decoder] = {
    **{decoder.name: decoder for decoder in _GENERATING},
    "json": JsonDecoder(),
}
"""Every wire protocol, by the name the configuration uses: the most specific first, as they are asked in this order."""


def generates(path: str, decoder: str) -> bool:
    """Whether a language model answers there, by its path alone or by the decoder that is configured."""
    return any(known.name == decoder or path.endswith(known.paths) for known in _GENERATING)
