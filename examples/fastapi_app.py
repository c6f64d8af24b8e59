r"""A complete model server with monitoring.

    uvicorn examples.fastapi_app:app
    curl -i localhost:8000/score -H 'content-type: application/json' \
        -d '{"income": 52000, "loan": 9000, "country": "SE"}'

``dev=True`` makes a token beside the store (mlmon.db.token) so that the page works at once: open
http://127.0.0.1:8000/mlmon/?token=<that token>. In production configure tokens instead, see the README.
"""

import math

from fastapi import FastAPI
from pydantic import BaseModel

from mlmon_sidecar import MonitorMiddleware

app = FastAPI()
app.add_middleware(MonitorMiddleware, model="loans", dev=True)


class Applicant(BaseModel):
    income: float
    loan: float
    country: str | None = None


class Decision(BaseModel):
    score: float
    prediction: str


@app.post("/score")
async def score(applicant: Applicant) -> Decision:
    """A logistic regression whose coefficients someone else has fitted."""
    probability = 1 / (1 + math.exp(-(1.2 + 3e-5 * applicant.income - 2e-4 * applicant.loan)))
    return Decision(score=probability, prediction="repaid" if probability >= 0.5 else "defaulted")
