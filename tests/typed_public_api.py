"""The public names as a user's type checker sees them. Never run: ``mypy`` reads it."""

from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.applications import Starlette

from mlmon_sidecar import FeedbackClient, Label, Monitor, MonitorMiddleware, annotate, model_loading, watch_queue

app = Starlette()
app.add_middleware(MonitorMiddleware)
app.add_middleware(MonitorMiddleware, model="fraud", strict=True, prediction_id_header=None, endpoints=None)
wrapped: MonitorMiddleware = MonitorMiddleware(app, store="sqlite:////var/lib/mlmon/mlmon.db", hub="embedded", dev=True)
why: str = wrapped.degraded

annotate(features={"amount": 12.5, "country": "SE"}, prediction="fraud", confidence=0.9, segment="SE")

with model_loading("fraud"):
    waiting: list[str] = []
watch_queue("gpu", lambda: len(waiting))

with Monitor("mlmon.toml", strict=True) as monitor:
    ids: Sequence[str] = monitor.observe(
        "fraud",
        features={"amount": [12.5]},
        predictions=["fraud"],
        scores=[0.9],
        ids=["tx-1"],
        times=[datetime.now(UTC)],
        version="v18",
    )
    handed_over: bool = monitor.flush()

with FeedbackClient("https://mlmon.example/mlmon", token_file="/run/secrets/label") as client:
    accepted: int = client.send([Label(id="tx-1", label="legit", observed_at=datetime.now(UTC))]).accepted
