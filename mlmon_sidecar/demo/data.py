"""The demo's rows: synthetic car loans out of the nannyml package (Apache-2.0), a part of them, see data/README.md."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

Value = float | str | bool | None

DATA_DIR = Path(__file__).parent / "data"
LABEL = "repaid"
SALARY_RANGES = ("0 - 20K €", "20K - 40K €", "40K - 60K €", "60K+ €")
DOWNPAYMENTS = ("0%", "10%", "20%", "30%", "40%")


def _boolean(text: str) -> bool:
    return {"True": True, "False": False}[text]


FEATURES: Mapping[str, Callable[[str], Value]] = {
    "car_value": float,
    "salary_range": str,
    "debt_to_income_ratio": float,
    "loan_length": float,
    "repaid_loan_on_prev_car": _boolean,
    "size_of_downpayment": str,
    "driver_tenure": float,
}
"""Feature name to the reader of its text, in the model's order."""

DRIFTING = ("car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car")
"""The columns whose distribution differs between ``healthy`` and ``drifted``; the others are drawn alike."""


class Row(NamedTuple):
    """One loan application."""

    id: int  # the source's own row id
    features: Mapping[str, Value]


class Loans(NamedTuple):
    """The whole set. Labels are 0 or 1 (repaid)."""

    reference: tuple[Row, ...]  # healthy, labelled: training and baseline
    healthy: tuple[Row, ...]  # later rows, distributed like the reference
    drifted: tuple[Row, ...]  # later still; ``DRIFTING`` differ
    labels: Mapping[int, int]  # of every row, by id


def load() -> Loans:
    """Read the package data (about 0.1 s)."""
    reference = tuple(_records("reference.csv.gz"))
    return Loans(
        reference=tuple(map(_row, reference)),
        healthy=tuple(map(_row, _records("healthy.csv.gz"))),
        drifted=tuple(map(_row, _records("drifted.csv.gz"))),
        labels={int(record["id"]): int(record[LABEL]) for record in (*reference, *_records("labels.csv.gz"))},
    )


def _records(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(DATA_DIR / name) as raw:
        yield from csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))


def _row(record: Mapping[str, str]) -> Row:
    return Row(int(record["id"]), {name: read(record[name]) for name, read in FEATURES.items()})
