"""The Open Inference Protocol (V2) of KServe, MLServer, Triton and others, with its binary tensor data extension.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol/binary-tensor-data-extension
https://docs.seldon.ai/mlserver/user-guide/content-type
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mlmon_sidecar.decode.body import header
from mlmon_sidecar.decode.json_text import parse_json
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import wrong_shape
from mlmon_sidecar.decode.tabular_answers import outputs_of_columns
from mlmon_sidecar.decode.tensor_rows import items_of, rows_of_tensors
from mlmon_sidecar.decode.tensors import Tensor, from_bytes, from_json, malformed, shape_of

if TYPE_CHECKING:
    from mlmon_sidecar.decode.sides import Column

HEADER_LENGTH = b"inference-header-content-length"  # bytes of JSON before the tensors
MAX_TENSORS = 4096
_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/infer$")


class OpenInferenceDecoder:
    """Tensors in, tensors out: as JSON, or as bytes after the JSON."""

    name = "open_inference"

    def claims(self, side: Side, direction: Direction) -> str:
        if _header_length(side):
            return "header Inference-Header-Content-Length"
        document = side.json() if side.is_json else None
        member = "inputs" if direction is Direction.REQUEST else "outputs"
        tensors = document.get(member) if isinstance(document, dict) else None
        first = tensors[0] if isinstance(tensors, list) and tensors else None
        if not isinstance(first, dict) or "datatype" not in first or "shape" not in first:
            return ""
        where = "path ends in /infer and " if _PATH.search(side.path) else ""
        return f"{where}body has {member}[].datatype"

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document, raw = _split(side)
        matched = _PATH.search(side.path)
        rows = rows_of_tensors(list(_tensors(document, "inputs", raw)), options)
        return replace(
            rows,
            document=document,
            aliases=class_text(document.get("id")),
            model=matched["model"] if matched else "",
            version=(matched["version"] or "") if matched else "",
        )

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document, raw = _split(side)
        outputs = None
        if not options.selects_outputs:
            columns: dict[str, Column] = {}
            for tensor in _tensors(document, "outputs", raw):
                columns[tensor.name] = items_of(tensor, rows)
            outputs = outputs_of_columns(columns, rows, options)
        return Answers(
            outputs,
            document=document,
            aliases=class_text(document.get("id")),
            model=class_text(document.get("model_name")) or "",
            version=class_text(document.get("model_version")) or "",
        )


def _header_length(side: Side) -> int:
    """0 where there is no JSON before tensors, or none of a sound length."""
    declared = header(side.headers, HEADER_LENGTH) or ""
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 10 else 0


def _split(side: Side) -> tuple[Mapping[str, object], memoryview]:
    """The JSON part and the bytes behind it."""
    length = _header_length(side)
    if length > len(side.body):
        raise malformed("the body is shorter than its JSON part")
    document = parse_json(side.body[:length]) if length else side.json()
    if not isinstance(document, dict):
        raise wrong_shape("the body is not an object")
    return document, memoryview(side.body)[length:] if length else memoryview(b"")


def _tensors(document: Mapping[str, object], member: str, raw: memoryview) -> Iterator[Tensor]:
    """Raises ``DecodeError`` for the first that breaks its own description."""
    described = document.get(member)
    if not isinstance(described, list) or not described:
        raise wrong_shape("the body has no tensors")
    if len(described) > MAX_TENSORS:
        raise wrong_shape("too many tensors")
    content_type = _parameters(document).get("content_type")
    at = 0
    for item in described:
        if not isinstance(item, dict):
            raise wrong_shape("a tensor is not an object")
        name, datatype = class_text(item.get("name")) or member, class_text(item.get("datatype")) or ""
        shape, parameters = shape_of(item.get("shape")), _parameters(item)
        size = parameters.get("binary_data_size")
        if size is None:
            base64 = parameters.get("content_type", content_type) == "base64"
            yield from_json(name, datatype, shape, item.get("data"), base64=base64)
            continue
        if type(size) is not int or not 0 <= size <= len(raw) - at:
            raise malformed("a tensor's bytes are cut off")
        yield from_bytes(name, datatype, shape, raw[at : at + size])
        at += size


def _parameters(item: Mapping[str, object]) -> Mapping[str, object]:
    found = item.get("parameters")
    return found if isinstance(found, dict) else {}
