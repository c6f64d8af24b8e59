"""A BentoML service as its users write one; ``TEST_MONITORED`` adds the middleware."""

import os

import bentoml

from mlmon_sidecar import MonitorMiddleware


@bentoml.service
class Scorer:
    @bentoml.api
    def score(self, numbers: list[float]) -> dict[str, float]:
        return {"score": sum(numbers)}


if os.environ.get("TEST_MONITORED"):
    Scorer.add_asgi_middleware(MonitorMiddleware, model="sums", endpoints=None, prediction_id_header=None, strict=True)
