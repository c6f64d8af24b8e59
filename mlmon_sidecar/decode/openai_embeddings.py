"""OpenAI-compatible embeddings: one row a text, and its vector as it is.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from math import nan

import numpy as np

from mlmon_sidecar.decode.generation import EMBEDDINGS, Asked, Told
from mlmon_sidecar.decode.loose_json import items, mapping, name_of
from mlmon_sidecar.decode.options import INPUT_TEXT, DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, Outputs, RequestRows, Side
from mlmon_sidecar.decode.text_features import vector_columns
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason

VECTOR = "output"  # ``output.norm``, ``output.embedding.0`` ...


class OpenAIEmbeddingsDecoder:
    """A row has no class and no score: its vector's columns are what is watched."""

    name = "openai_embeddings"
    paths = ("/embeddings",)

    def claims(self, side: Side, direction: Direction) -> str:
        if not side.is_json:
            return ""
        if side.path.endswith(self.paths):
            return "path ends in /embeddings"
        document = side.json()
        if direction is Direction.RESPONSE and isinstance(document, dict):
            first = next(iter(items(document.get("data"))), None)
            return "data[].object is embedding" if mapping(first).get("object") == "embedding" else ""
        return ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = mapping(side.json())
        inputs = _inputs(document.get("input"))
        if len(inputs) > options.max_rows:
            raise DecodeError("too many rows in one request", code=DropReason.BODY_TOO_LARGE)
        texts = [text if isinstance(text, str) else None for text in inputs]
        columns: dict[str, Sequence[object]] = {"input.chars": [None if text is None else len(text) for text in texts]}
        if INPUT_TEXT in options.text:
            columns[INPUT_TEXT] = texts
        size = None if None in texts else sum(len(text.encode("utf-8", "surrogatepass")) for text in texts if text)
        asked = Asked(EMBEDDINGS, "openai", name_of(document.get("model")), text_bytes=size)
        return RequestRows(len(inputs), columns=columns, document=document, model=asked.model, generation=asked)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document = mapping(side.json())
        told = Told(Asked(EMBEDDINGS, "openai"), streamed=False)
        told.named(document)
        if document.get("error"):
            told.failed(document["error"])
            return Answers(None, document=document, version=told.model, generation=told)
        vectors = [_vector(mapping(item).get("embedding")) for item in items(document.get("data"))]
        if len(vectors) != rows:
            raise DecodeError("texts and vectors differ in number", code=DropReason.ROW_MISMATCH)
        told.usage(document.get("usage"), "prompt_tokens", "")
        told.choices.update(range(rows))
        nothing = [nan] * rows
        return Answers(
            Outputs(nothing, [None] * rows, nothing),
            columns=vector_columns(VECTOR, vectors),
            document=document,
            version=told.model,
            generation=told,
        )


def _inputs(given: object) -> Sequence[object]:
    """Texts, or token ids of texts. Raises ``DecodeError`` (``wrong_shape``)."""
    if isinstance(given, str):
        return [given]
    found = items(given)
    if not found:
        raise DecodeError("the request has no input", code=DropReason.WRONG_SHAPE)
    return [found] if all(isinstance(item, int) for item in found) else found


def _vector(value: object) -> Sequence[object] | None:
    """A list of numbers, or little-endian 32-bit floats in base64, as OpenAI's own clients ask for."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return None
    try:
        packed = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(packed) % 4:
        return None
    unpacked: list[float] = np.frombuffer(packed, dtype="<f4").astype(np.float64).tolist()
    return unpacked
