"""The monitored application: a plain FastAPI model server with the middleware added in the documented way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from pydantic import BaseModel

from mlmon_sidecar import MonitorMiddleware
from mlmon_sidecar.demo.data import Row, load
from mlmon_sidecar.demo.model import THRESHOLD, LoanModel, outcome


class Application(BaseModel):
    """A loan application; anything the applicant left out is null."""

    application_id: int
    car_value: float | None = None
    salary_range: str | None = None
    debt_to_income_ratio: float | None = None
    loan_length: float | None = None
    repaid_loan_on_prev_car: bool | None = None
    size_of_downpayment: str | None = None
    driver_tenure: float | None = None


class Decision(BaseModel):
    score: float
    outcome: str
    approved: bool


class Fault(BaseModel):
    """A score to answer from now on whatever is asked; null ends the fault."""

    stuck_at: float | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.model = LoanModel.train(load())
    app.state.stuck_at = None
    yield


app = FastAPI(title="Car loans", lifespan=lifespan)
app.add_middleware(MonitorMiddleware)


@app.post("/score")
async def score(application: Application, request: Request) -> Decision:
    """Answers on the event loop: a row takes the model less than the hop to a thread would."""
    state = request.app.state
    features = application.model_dump(exclude={"application_id"})
    answer = state.stuck_at if state.stuck_at is not None else state.model.score([Row(0, features)])[0]
    return Decision(score=answer, outcome=outcome(answer), approved=answer >= THRESHOLD)


@app.post("/demo/fault")
async def fault(fault: Fault, request: Request) -> Fault:
    """Break the model, or mend it. Not monitored: the settings watch ``POST /score`` only."""
    request.app.state.stuck_at = fault.stuck_at
    return fault


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}
