"""From bodies to columns. One file per wire protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from mlmon_sidecar.decode.bentoml import BentoMLDecoder
from mlmon_sidecar.decode.binary import BinaryDecoder
from mlmon_sidecar.decode.csv_rows import CsvDecoder
from mlmon_sidecar.decode.form import FormDecoder
from mlmon_sidecar.decode.json_decoder import JsonDecoder
from mlmon_sidecar.decode.json_lines import JsonLinesDecoder
from mlmon_sidecar.decode.kserve_v1 import KServeV1Decoder
from mlmon_sidecar.decode.mlflow import MLflowDecoder
from mlmon_sidecar.decode.multipart import MultipartDecoder
from mlmon_sidecar.decode.npy import NpyDecoder
from mlmon_sidecar.decode.open_inference import OpenInferenceDecoder
from mlmon_sidecar.decode.openai_chat import OpenAIChatDecoder
from mlmon_sidecar.decode.openai_completions import OpenAICompletionsDecoder
from mlmon_sidecar.decode.openai_embeddings import OpenAIEmbeddingsDecoder
from mlmon_sidecar.decode.openai_responses import OpenAIResponsesDecoder
from mlmon_sidecar.decode.sagemaker import SageMakerDecoder
from mlmon_sidecar.decode.tgi import TextGenerationInferenceDecoder
from mlmon_sidecar.decode.vertex import VertexDecoder

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
    "open_inference": OpenInferenceDecoder(),
    "vertex": VertexDecoder(),
    "sagemaker": SageMakerDecoder(),
    "mlflow": MLflowDecoder(),
    "kserve_v1": KServeV1Decoder(),
    "csv": CsvDecoder(),
    "json_lines": JsonLinesDecoder(),
    "multipart": MultipartDecoder(),
    "form": FormDecoder(),
    "npy": NpyDecoder(),
    "bentoml": BentoMLDecoder(),
    "json": JsonDecoder(),
    "binary": BinaryDecoder(),
}
"""Every wire protocol, by the name the configuration uses: the most specific first, as they are asked in this order."""


def generates(path: str, decoder: str) -> bool:
    """Whether a language model answers there, by its path alone or by the decoder that is configured."""
    return any(known.name == decoder or path.endswith(known.paths) for known in _GENERATING)
