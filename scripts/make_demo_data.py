"""Cut the demo's data out of an unpacked nannyml wheel: ``make_demo_data.py UNPACKED_WHEEL``.

Get the wheel with ``pip download --no-deps nannyml==0.13.1`` and unpack it with ``python -m zipfile -e``. The same
wheel always gives the same bytes (row ranges, column order, compression level and modification time are fixed).
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from mlmon_sidecar.demo.data import DATA_DIR, FEATURES, LABEL

SOURCE = "nannyml/datasets/data/synthetic_car_loan_{part}.csv"
LICENSE = "nannyml-*.dist-info/LICENSE"
DRIFT_STARTS = 25_000  # row of the analysis part from which car_value, salary_range, ... are drawn differently
REFERENCE_ROWS = 16_160  # 8,000 to train on, 8,160 held out: 17 days at 480 rows a day
HEALTHY_ROWS = 8_640  # every phase but one replays these, in order: 18 days at 480 rows a day
DRIFTED_ROWS = 1_920  # 4 days
REFERENCE_STEP = 3  # every third row, so that the part stands for the whole
ANALYSIS_STEP = 2  # likewise
MAX_TOTAL_BYTES = 1_000_000
SIGNIFICANT = 4  # digits kept of floats; the model's accuracy does not notice


def rows(wheel: Path, part: str, start: int, count: int, step: int) -> list[dict[str, str]]:
    with (wheel / SOURCE.format(part=part)).open(newline="", encoding="utf-8") as file:
        return list(islice(csv.DictReader(file), start, start + count * step, step))


def compact(text: str) -> str:
    """A number without a needless fraction and with few digits; any other text as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else f"{number:.{SIGNIFICANT}g}"


def write(name: str, columns: tuple[str, ...], records: Iterable[Mapping[str, str]]) -> int:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([compact(record[column]) for column in columns] for record in records)
    path = DATA_DIR / name
    path.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
    return path.stat().st_size


def sizes(wheel: Path) -> Iterator[tuple[str, int]]:
    healthy, drifted, labels = [], [], []
    for start, count, taken in ((0, HEALTHY_ROWS, healthy), (DRIFT_STARTS, DRIFTED_ROWS, drifted)):
        taken += rows(wheel, "analysis", start, count, ANALYSIS_STEP)
        labels += rows(wheel, "analysis_target", start, count, ANALYSIS_STEP)
    reference = rows(wheel, "reference", 0, REFERENCE_ROWS, REFERENCE_STEP)
    yield "reference.csv.gz", write("reference.csv.gz", ("id", *FEATURES, LABEL), reference)
    yield "healthy.csv.gz", write("healthy.csv.gz", ("id", *FEATURES), healthy)
    yield "drifted.csv.gz", write("drifted.csv.gz", ("id", *FEATURES), drifted)
    yield "labels.csv.gz", write("labels.csv.gz", ("id", LABEL), labels)
    (license_file,) = wheel.glob(LICENSE)
    (DATA_DIR / "LICENSE-nannyml").write_bytes(license_file.read_bytes())


def main(wheel: Path) -> int:
    total = 0
    for name, size in sizes(wheel):
        print(f"{name}: {size:,} bytes")
        total += size
    print(f"total: {total:,} bytes of at most {MAX_TOTAL_BYTES:,}")
    return 0 if total <= MAX_TOTAL_BYTES else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
