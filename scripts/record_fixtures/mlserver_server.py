"""Records MLServer, V2 with its content types. Needs: pip install mlserver starlette==0.46.2 "protobuf<7" numpy pandas.

Run: python mlserver_server.py. The settings files that MLServer wants are made in a temporary folder.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlserver import MLModel
from mlserver.codecs import NumpyRequestCodec, PandasCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from recording import server


class Numbers(MLModel):
    """A matrix in, one probability vector a row out."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = np.asarray(self.decode_request(payload, default_codec=NumpyRequestCodec))
        share = rows[:, 0] / 1000
        return self.encode_response(np.column_stack([1 - share, share]), default_codec=NumpyRequestCodec)


class Table(MLModel):
    """A data frame in, a data frame out: the class as text, and its score."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        frame = self.decode_request(payload, default_codec=PandasCodec)
        share = frame["amount"].astype(float) / 1000
        answer = pd.DataFrame({"prediction": np.where(share >= 0.5, "fraud", "legit").astype(object), "score": share})
        answer["prediction"] = answer["prediction"].astype(object)
        return self.encode_response(answer, default_codec=PandasCodec)


class Words(MLModel):
    """Texts in, texts out: whether one is longer than five characters."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        words = StringCodec.decode_input(payload.inputs[0])
        output = StringCodec.encode_output("class", ["long" if len(word) > 5 else "short" for word in words])
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])


def tensor(name: str, datatype: str, shape: list[int], data: list[Any], **parameters: Any) -> dict[str, Any]:
    given = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return {**given, "parameters": parameters} if parameters else given


def settings(folder: Path) -> None:
    (folder / "settings.json").write_text(json.dumps({"parallel_workers": 0, "host": "127.0.0.1"}))
    for name, kind, version in (("numbers", "Numbers", "v1.2.0"), ("table", "Table", None), ("words", "Words", "7")):
        (folder / name).mkdir()
        given = {"name": name, "implementation": f"mlserver_server.{kind}", "parameters": {"version": version}}
        (folder / name / "model-settings.json").write_text(json.dumps(given))


def record() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings(Path(folder))
        ports = {"MLSERVER_HTTP_PORT": "{port}", "MLSERVER_GRPC_PORT": "0", "MLSERVER_METRICS_PORT": "0"}
        command = [str(Path(sys.executable).with_name("mlserver")), "start", folder]
        with server(command, "/v2/health/ready", PYTHONPATH=str(Path(__file__).parent), **ports) as recorder:

            def pair(case: str, path: str, body: Any) -> None:
                recorder.record("open_inference", f"mlserver_{case}", path, body, package="mlserver")

            matrix = tensor("rows", "FP32", [2, 2], [750.0, 34.0, 125.0, 51.0], content_type="np")
            pair("numpy", "/v2/models/numbers/infer", {"id": "a-1", "inputs": [matrix]})
            pair("numpy_versioned", "/v2/models/numbers/versions/v1.2.0/infer", {"inputs": [matrix]})
            columns = [
                tensor("amount", "FP64", [2], [750.0, 125.0]),
                tensor("visits", "INT64", [2, 1], [3, 0]),
                tensor("country", "BYTES", [2], ["DE", "FR"], content_type="str"),
            ]
            body = {"id": "a-2", "parameters": {"content_type": "pd"}, "inputs": columns}
            pair("pandas", "/v2/models/table/infer", body)
            words = tensor("text", "BYTES", [2], ["fraud", "legitimate"], content_type="str")
            pair("strings", "/v2/models/words/infer", {"id": "a-3", "inputs": [words]})


if __name__ == "__main__":
    record()
