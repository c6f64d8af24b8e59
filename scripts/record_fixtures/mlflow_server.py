"""Records MLflow's scoring server. Needs: pip install mlflow-skinny pandas numpy fastapi uvicorn.

Run: python mlflow_server.py

The model is a pyfunc that divides the first column by 1000; the server is MLflow's own application under uvicorn.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from recording import server

CSV = {"Content-Type": "text/csv"}


class Scorer(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        if isinstance(model_input, dict):
            model_input = pd.DataFrame({name: np.ravel(values) for name, values in model_input.items()})
        first = model_input.iloc[:, 0] if isinstance(model_input, pd.DataFrame) else np.asarray(model_input)[:, 0]
        return first / 1000


class Frame(Scorer):
    """Answers with a table: a class and the probability of each."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        share = super().predict(context, model_input, params)
        return pd.DataFrame({"prediction": np.where(share >= 0.5, "fraud", "legit"), "probability": share})


def record() -> None:
    for model, suffix in ((Scorer(), ""), (Frame(), "_frame_answer")):
        with tempfile.TemporaryDirectory() as folder:
            saved = str(Path(folder) / "model")
            mlflow.pyfunc.save_model(saved, python_model=model, pip_requirements=[])
            uvicorn = [sys.executable, "-m", "uvicorn", "mlflow.pyfunc.scoring_server.app:app", "--port", "{port}"]
            with server(uvicorn, "/ping", __pyfunc_model_path__=saved) as recorder:

                def pair(case: str, body: Any, *headers: Any) -> None:
                    recorder.record("mlflow", case, "/invocations", body, *headers, package="mlflow-skinny")

                columns = ["amount", "visits", "country"]
                data = [[750.0, 3, "DE"], [125.0, 0, None]]
                pair(f"split{suffix}", {"dataframe_split": {"columns": columns, "index": [0, 1], "data": data}})
                if suffix:
                    continue
                pair("split_without_columns", {"dataframe_split": {"data": [[750.0, 3], [125.0, 0]]}})
                records = [dict(zip(columns, row, strict=True)) for row in data]
                pair("records", {"dataframe_records": records, "params": {"flavour": "plain"}})
                pair("instances", {"instances": [[750.0, 3.0], [125.0, 0.0]]})
                pair("instances_named", {"instances": [{"amount": 750.0, "visits": 3}, {"amount": 125.0, "visits": 0}]})
                pair("inputs", {"inputs": [[750.0, 3.0], [125.0, 0.0]]})
                pair("inputs_named", {"inputs": {"amount": [750.0, 125.0], "visits": [3, 0]}})
                pair("csv", 'amount,visits,country\n750.0,3,"Berlin, DE"\n125.0,0,\n', CSV)
                nan = json.dumps(
                    {"dataframe_split": {"columns": ["amount", "visits"], "data": [[750.0, float("nan")]]}}
                )
                pair("nan", nan)


if __name__ == "__main__":
    record()
