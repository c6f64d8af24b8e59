"""SageMaker containers: the request in one type, the answer in another, as the caller's Accept asks.

https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html
CSV and JSON Lines are read as anywhere; this decoder knows the JSON of the built-in algorithms. The caller's
InferenceId is a header, which the core takes for an alias whatever the body is.
"""

from __future__ import annotations

import re

from mlmon_sidecar.decode.json_lines import unwrapped
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.tabular import from_items, wrong_shape
from mlmon_sidecar.decode.tabular_answers import answers_of

_PATH = re.compile(r"/invocations$")
_OWN_MEMBERS = frozenset({"score", "predicted_label", "closest_cluster"})  # of the built-in algorithms' predictions


class SageMakerDecoder:
    """``{"instances": [{"features": [...]}]}`` in, ``{"predictions": [...]}`` or bare values out."""

    name = "sagemaker"

    def claims(self, side: Side, direction: Direction) -> str:
        if not _PATH.search(side.path) or not side.is_json:
            return ""
        document = side.json()
        if direction is Direction.RESPONSE:
            return "path ends in /invocations and body is predictions" if _answers(document) else ""
        instances = document.get("instances") if isinstance(document, dict) else None
        first = instances[0] if isinstance(instances, list) and instances else None
        return "path ends in /invocations and body has instances[].features" if unwrapped(first) is not first else ""

    def request(self, side: Side, options: DecodeOptions) -> RequestRows:
        document = side.json()
        instances = document.get("instances") if isinstance(document, dict) else None
        if not isinstance(instances, list):
            raise wrong_shape("the body has no instances")
        return from_items([unwrapped(item) for item in instances], options, document)

    def response(self, side: Side, options: DecodeOptions, rows: int) -> Answers:
        document = side.json()
        values = document["predictions"] if isinstance(document, dict) and "predictions" in document else document
        return answers_of(values, rows, options, document)


def _answers(document: object) -> bool:
    """Bare values, or predictions as the built-in algorithms write them."""
    if not isinstance(document, dict):
        return isinstance(document, (list, int, float, str))
    predictions = document.get("predictions")
    first = predictions[0] if isinstance(predictions, list) and predictions else None
    return isinstance(first, dict) and not first.keys().isdisjoint(_OWN_MEMBERS)
