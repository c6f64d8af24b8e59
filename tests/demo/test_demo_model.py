"""The model is as good as claimed on rows it has not seen, fast, and takes what a request may bring."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from mlmon_sidecar.demo.data import FEATURES, Loans, Row, load
from mlmon_sidecar.demo.model import LoanModel, encode, held_out, label_text, outcome, training


@pytest.fixture(scope="module")
def loans() -> Loans:
    return load()


@pytest.fixture(scope="module")
def model(loans: Loans) -> LoanModel:
    return LoanModel.train(loans)


def accuracy(model: LoanModel, loans: Loans, rows: tuple[Row, ...]) -> float:
    truth = [label_text(loans.labels[row.id]) for row in rows]
    return float(accuracy_score(truth, [outcome(score) for score in model.score(rows)]))


def test_accuracy_on_unseen_rows(model: LoanModel, loans: Loans) -> None:
    assert accuracy(model, loans, held_out(loans)) == pytest.approx(0.94, abs=0.01)
    assert accuracy(model, loans, loans.healthy) == pytest.approx(0.935, abs=0.01)
    assert accuracy(model, loans, loans.drifted) < 0.92


def test_training_and_held_out_rows_are_apart(loans: Loans) -> None:
    train, held = training(loans), held_out(loans)
    assert (*train, *held) == loans.reference
    assert {row.id for row in train}.isdisjoint(row.id for row in held)
    assert len(held) >= 14 * 480  # 14 days are needed before wander is known


def test_training_twice_gives_the_same_model(model: LoanModel, loans: Loans) -> None:
    assert LoanModel.train(loans).score(loans.healthy[:500]) == model.score(loans.healthy[:500])


def test_one_row_at_a_time_equals_all_at_once(model: LoanModel, loans: Loans) -> None:
    rows = loans.healthy[:50]
    assert [model.score([row])[0] for row in rows] == model.score(rows)


def test_absent_null_and_unknown_values_count_as_typical(model: LoanModel) -> None:
    nothing = Row(0, dict.fromkeys(FEATURES))
    strange = Row(0, dict.fromkeys(("salary_range", "size_of_downpayment"), "purple"))
    (expected,) = model.score([Row(0, {})])
    assert 0.0 < expected < 1.0
    assert model.score([nothing, strange]) == [expected, expected]


def test_encoding() -> None:
    row = Row(1, {"car_value": 100.0, "salary_range": "60K+ €", "repaid_loan_on_prev_car": True})
    numbers = encode([row])
    assert numbers.shape == (1, 7)
    assert numbers[0, :2].tolist() == [100.0, 3.0]
    assert numbers[0, 4] == 1.0
    assert np.isnan(numbers[0, [2, 3, 5, 6]]).all()


def test_nulls_in_the_burst_leave_the_answers_nearly_alone(model: LoanModel, loans: Loans) -> None:
    bare = tuple(Row(row.id, {**row.features, "size_of_downpayment": None}) for row in loans.healthy)
    assert accuracy(model, loans, bare) > 0.91
