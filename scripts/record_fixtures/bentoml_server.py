"""Records BentoML. Needs: pip install "bentoml<1.5" numpy pandas. Run: python bentoml_server.py

Its endpoints take keyword arguments as one JSON object, or as multipart where one of them is a file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd
import pydantic
from recording import multipart, server

PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452")  # the beginning of any PNG


class Row(pydantic.BaseModel):
    amount: float
    country: str


@bentoml.service(name="scorer")
class Scorer:
    @bentoml.api
    def score(self, amount: float, country: str, returning: bool = False) -> dict:
        return {"prediction": "fraud" if amount >= 500 else "legit", "probability": amount / 1000}

    @bentoml.api
    def array(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] / 1000

    @bentoml.api
    def proba(self, rows: np.ndarray) -> np.ndarray:
        return np.column_stack([1 - rows[:, 0] / 1000, rows[:, 0] / 1000])

    @bentoml.api
    def root(self, rows: np.ndarray, /) -> np.ndarray:
        return rows[:, 0] / 1000

    @bentoml.api
    def frame(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"score": frame["amount"] / 1000})

    @bentoml.api
    def models(self, rows: list[Row]) -> list[float]:
        return [row.amount / 1000 for row in rows]

    @bentoml.api
    def picture(self, image: Path, amount: float) -> dict:
        return {"score": amount / 1000, "bytes": image.stat().st_size}


def record() -> None:
    arguments = [sys.executable, "-m", "bentoml", "serve", "bentoml_server:Scorer", "--port", "{port}"]
    with server([*arguments, "--host", "127.0.0.1"], "/readyz", BENTOML_DO_NOT_TRACK="true") as recorder:

        def pair(case, path, body, *headers):
            recorder.record("bentoml", case, path, body, *headers, package="bentoml")

        pair("keywords", "/score", {"amount": 750.0, "country": "DE", "returning": True})
        pair("array", "/array", {"rows": [[750.0, 34], [125.0, 51]]})
        pair("proba", "/proba", {"rows": [[750.0, 34], [125.0, 51]]})
        pair("root_array", "/root", [[750.0, 34], [125.0, 51]])
        records = [{"amount": 750.0, "country": "DE"}, {"amount": 125.0, "country": "FR"}]
        pair("frame_records", "/frame", {"frame": records})
        pair("frame_columns", "/frame", {"frame": {"amount": [750.0, 125.0], "country": ["DE", "FR"]}})
        pair("models", "/models", {"rows": records})
        form = [("image", "a.png", "image/png", PIXEL), ("amount", None, None, b"750.0")]
        headers = {"Content-Type": "multipart/form-data; boundary=bento-frontier"}
        pair("multipart", "/picture", multipart(form, "bento-frontier"), headers)


if __name__ == "__main__":
    record()
