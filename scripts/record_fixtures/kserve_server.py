"""Records the KServe SDK, V1 and V2. Needs: pip install kserve numpy pandas. Run: python kserve_server.py

V1 is what TensorFlow Serving's row form looks like too; V2 is the Open Inference Protocol with its binary extension.
"""

import json
import struct
import sys
from typing import Any

import kserve
import numpy as np
from kserve.protocol.infer_type import InferRequest
from kserve.utils.utils import get_predict_response
from recording import server

BINARY = {"Content-Type": "application/octet-stream"}


class Scorer(kserve.Model):
    """First column divided by 1000, whatever the protocol."""

    def __init__(self) -> None:
        super().__init__("scorer")
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if isinstance(payload, InferRequest):
            first = payload.inputs[0].as_numpy()
            scores = np.asarray(first, dtype=np.float32).reshape(len(first), -1)[:, 0] / 1000
            return get_predict_response(payload, scores, self.name)
        rows = [row["amount"] if isinstance(row, dict) else row[0] for row in payload["instances"]]
        return {"predictions": [amount / 1000 for amount in rows]}


class Probabilities(Scorer):
    """A vector of class probabilities for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "proba"

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        if isinstance(payload, InferRequest):
            share = np.asarray(payload.inputs[0].as_numpy(), dtype=np.float32).reshape(-1, 2)[:, 0] / 1000
            return get_predict_response(payload, np.column_stack([1 - share, share]), self.name)
        return {"predictions": [[1 - row[0] / 1000, row[0] / 1000] for row in payload["instances"]]}


def serve(port: int) -> None:
    kserve.ModelServer(http_port=port, enable_grpc=False, workers=1).start([Scorer(), Probabilities()])


def tensor(name: str, datatype: str, shape: list[int], data: list[Any], **parameters: Any) -> dict[str, Any]:
    given = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return {**given, "parameters": parameters} if parameters else given


def binary(document: dict[str, Any], *raw: bytes) -> tuple[bytes, dict[str, str]]:
    header = json.dumps(document).encode()
    return header + b"".join(raw), {**BINARY, "Inference-Header-Content-Length": str(len(header))}


def record() -> None:
    with server([sys.executable, __file__, "serve", "{port}"], "/v2/health/ready") as recorder:

        def v1(case: str, model: str, body: Any) -> None:
            recorder.record("kserve_v1", case, f"/v1/models/{model}:predict", body, package="kserve")

        def v2(case: str, model: str, body: Any, *headers: Any) -> None:
            recorder.record(
                "open_inference", f"kserve_{case}", f"/v2/models/{model}/infer", body, *headers, package="kserve"
            )

        v1("arrays", "scorer", {"instances": [[700.0, 1], [125.0, 0]]})
        v1("objects", "scorer", {"instances": [{"amount": 750.0, "country": "DE"}, {"amount": 125.0, "country": "FR"}]})
        v1("probabilities", "proba", {"instances": [[750.0, 1], [125.0, 0]]})

        matrix = tensor("rows", "FP32", [2, 2], [750.0, 34.0, 125.0, 51.0])
        v2("matrix", "scorer", {"id": "req-7", "inputs": [matrix]})
        v2("nested_data", "scorer", {"inputs": [tensor("rows", "FP32", [2, 2], [[750.0, 34.0], [125.0, 51.0]])]})
        columns = [
            tensor("amount", "FP64", [2, 1], [750.0, 125.0]),
            tensor("visits", "INT64", [2, 1], [3, 0]),
            tensor("returning", "BOOL", [2, 1], [True, False]),
            tensor("country", "BYTES", [2, 1], ["DE", "FR"]),
        ]
        v2("columns", "scorer", {"id": "req-8", "inputs": columns})
        v2("probabilities", "proba", {"inputs": [matrix]})

        raw = np.array([[750, 34], [125, 51]], dtype="<f4").tobytes()
        sized = {"name": "rows", "shape": [2, 2], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
        v2("binary_in", "scorer", *binary({"id": "req-9", "inputs": [sized]}, raw))
        wanted = {"id": "req-10", "inputs": [sized], "parameters": {"binary_data_output": True}}
        v2("binary_both", "proba", *binary(wanted, raw))
        half = np.array([[750, 34], [125, 51]], dtype="<f2").tobytes()
        words = b"".join(struct.pack("<I", len(word)) + word for word in (b"DE", "Türkiye".encode()))
        mixed = [
            {"name": "amount", "shape": [2, 2], "datatype": "FP16", "parameters": {"binary_data_size": len(half)}},
            tensor("visits", "INT32", [2], [3, 0]),
            {"name": "country", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(words)}},
        ]
        v2("binary_mixed", "scorer", *binary({"inputs": mixed}, half, words))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        record()
