"""Vertex AI online prediction.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/predict
"""

from __future__ import annotations

import re

from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.outputs import class_text
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import BASE64_MARK, from_items, without_content, wrong_shape
from mlmon_sidecar.decode.tabular_answers import answers_of

_PATH = re.compile(r"/endpoints/[^/:]+:(?:predict|rawPredict)$")


class VertexDecoder:
    """``instances`` a row each, ``parameters`` left aside; the answer names model and version."""

    name = "vertex"

    def claims(self, side: Side, direction: Direction) -> str:
        document = side.json() if side.is_json else None
        if not isinstance(document, dict):
            return ""
        member = "instances" if direction is Direction.REQUEST else "predictions"
        if member not in document:
            return ""
        if _PATH.search(side.path):
            return f"path is an endpoint's :predict and body has {member}"
        return "body has predictions and deployedModelId" if "deployedModelId" in document else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = side.json()
        if not isinstance(document, dict):
            raise wrong_shape("the body is not an object")
        instances = document.get("instances")
        return from_items(without_content(instances) if BASE64_MARK in side.body else instances, options, document)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document = side.json()
        if not isinstance(document, dict):
            raise wrong_shape("the body is not an object")
        model = class_text(document.get("modelDisplayName")) or class_text(document.get("deployedModelId")) or ""
        version = class_text(document.get("modelVersionId")) or ""
        return answers_of(document.get("predictions"), rows, options, document, model, version)
