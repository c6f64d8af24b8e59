"""The shipped rows: complete, small, and drifting where they are said to."""

import pytest
from scipy.stats import chi2_contingency, ks_2samp

from mlmon_sidecar.demo.data import DATA_DIR, DRIFTING, FEATURES, Loans, Row, load

MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def loans() -> Loans:
    return load()


def column(rows: tuple[Row, ...], name: str) -> list[object]:
    return [row.features[name] for row in rows]


def p_value(name: str, left: tuple[Row, ...], right: tuple[Row, ...]) -> float:
    a, b = column(left, name), column(right, name)
    if isinstance(a[0], float):
        return float(ks_2samp(a, b).pvalue)
    levels = sorted({*a, *b}, key=str)
    return float(chi2_contingency([[values.count(level) for level in levels] for values in (a, b)]).pvalue)


def test_sizes(loans: Loans) -> None:
    assert (len(loans.reference), len(loans.healthy), len(loans.drifted)) == (16_160, 8_640, 1_920)
    assert sum(file.stat().st_size for file in DATA_DIR.glob("*.gz")) <= MAX_BYTES
    assert "Apache License" in (DATA_DIR / "LICENSE-nannyml").read_text()


def test_every_row_has_a_label_and_an_id_of_its_own(loans: Loans) -> None:
    ids = [row.id for row in (*loans.reference, *loans.healthy, *loans.drifted)]
    assert len(set(ids)) == len(ids)
    assert set(ids) == loans.labels.keys()
    assert set(loans.labels.values()) == {0, 1}


def test_values_are_read_as_their_types(loans: Loans) -> None:
    row = loans.reference[0]
    assert row.id == 0
    assert row.features == {
        "car_value": 39811.0,
        "salary_range": "40K - 60K €",
        "debt_to_income_ratio": 0.633,
        "loan_length": 19.0,
        "repaid_loan_on_prev_car": False,
        "size_of_downpayment": "40%",
        "driver_tenure": 0.2127,
    }


@pytest.mark.parametrize("name", FEATURES)
def test_only_the_named_columns_drift(loans: Loans, name: str) -> None:
    drifted = p_value(name, loans.reference, loans.drifted)
    assert (drifted < 1e-20) if name in DRIFTING else (drifted > 1e-3)
    assert p_value(name, loans.reference, loans.healthy) > 1e-3
