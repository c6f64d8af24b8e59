"""KServe V1 and TensorFlow Serving's REST API.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import (
    BASE64_MARK,
    expect_cells,
    from_items,
    from_named_lists,
    without_content,
    wrong_shape,
)
from mlmon_sidecar.decode.tabular_answers import answers_of

_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/(?:versions|labels)/(?P<version>[^/:]+))?:(?P<verb>predict|classify|regress|explain)$"
)
REQUEST_MEMBERS = ("instances", "inputs", "examples")
RESPONSE_MEMBERS = ("predictions", "outputs", "result", "results")


class KServeV1Decoder:
    """``instances`` a row each, ``inputs`` a column each, ``examples`` with their ``context``."""

    name = "kserve_v1"

    def claims(self, side: Side, direction: Direction) -> str:
        document = side.json() if side.is_json else None
        if not isinstance(document, dict):
            return ""
        members = REQUEST_MEMBERS if direction is Direction.REQUEST else RESPONSE_MEMBERS
        found = next((name for name in members if name in document), "")
        matched = _PATH.search(side.path)
        if found and matched:
            return f"path ends in :{matched['verb']} and body has {found}"
        if direction is Direction.REQUEST and isinstance(document.get("instances"), list):
            return "body has instances"
        if found and "signature_name" in document:
            return f"body has {found} and signature_name"
        return ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = side.json()
        if not isinstance(document, dict):
            raise wrong_shape("the body is not an object")
        model, version = _named_by(side.path)
        rows = _rows(document, options, BASE64_MARK in side.body)
        return replace(rows, document=document, model=model, version=version)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document = side.json()
        if not isinstance(document, dict):
            raise wrong_shape("the body is not an object")
        values = next((document[name] for name in RESPONSE_MEMBERS if name in document), None)
        if "result" in document and isinstance(values, list):
            values = [_classified(item) for item in values]
        return answers_of(values, rows, options, document, *_named_by(side.path))


def _rows(document: Mapping[str, object], options: DecodeOptions, has_content: bool) -> RequestRows:
    if "instances" in document:
        instances = document["instances"]
        return from_items(without_content(instances) if has_content else instances, options)
    if "examples" in document:
        examples, context = document["examples"], document.get("context")
        shared = context if isinstance(context, dict) else {}
        if isinstance(examples, list):
            expect_cells(len(shared), len(examples))
            examples = [{**shared, **item} if isinstance(item, dict) else item for item in examples]
        return from_items(without_content(examples) if has_content else examples, options)
    inputs = without_content(document.get("inputs")) if has_content else document.get("inputs")
    return from_named_lists(inputs, options) if isinstance(inputs, dict) else from_items(inputs, options)


def _classified(item: object) -> object:
    """``[["fraud", 0.7], ["legit", 0.3]]``, the answer of ``:classify``, as an object of probabilities."""
    if not isinstance(item, list) or not item:
        return item
    pairs = [pair for pair in item if isinstance(pair, list) and len(pair) == 2]
    return {str(label): share for label, share in pairs} if len(pairs) == len(item) else item


def _named_by(path: str) -> tuple[str, str]:
    matched = _PATH.search(path)
    return (matched["model"], matched["version"] or "") if matched else ("", "")
