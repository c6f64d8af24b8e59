"""A nightly scoring job that reports what it predicted: no server, no HTTP.

    python examples/batch_job.py

Settings come from mlmon.toml beside this file. ``strict=True`` lets a wrong setting fail the job instead of only being
logged; a web server would leave it out.
"""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlmon_sidecar import Monitor

ROWS = 500
SETTINGS = Path(__file__).with_name("mlmon.toml")


def main() -> None:
    chance = random.Random(7)  # noqa: S311 - made-up customers
    night = datetime.now(UTC) - timedelta(hours=1)
    income = [round(chance.lognormvariate(10.5, 0.4)) for _ in range(ROWS)]
    loan = [round(chance.uniform(1_000, 30_000)) for _ in range(ROWS)]
    predictions = ["repaid" if 3 * have > 5 * want else "defaulted" for have, want in zip(income, loan, strict=True)]
    with Monitor(SETTINGS, strict=True) as monitor:
        monitor.observe(
            "loans",
            features={"income": income, "loan": loan},
            predictions=predictions,
            ids=[f"customer-{number}" for number in range(ROWS)],
            times=[night + timedelta(seconds=number) for number in range(ROWS)],
            version="v3",
        )
    print(f"observed {ROWS} predictions")


if __name__ == "__main__":
    main()
