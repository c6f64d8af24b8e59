"""Records LitServe. Needs: pip install litserve numpy python-multipart. Run: python litserve_server.py

LitServe prescribes no payload: the request is what ``decode_request`` takes, the answer what ``encode_response`` gives.
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
from recording import multipart, server

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452")  # the beginning of any PNG


class Scorer(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request):  # an annotation here would become a query parameter
        return request

    def predict(self, x: Any) -> float:
        return float(x["amount"]) / 1000

    def encode_response(self, output: float) -> Any:
        return {"prediction": "fraud" if output >= 0.5 else "legit", "probability": output}


class Plain(Scorer):
    def encode_response(self, output: float) -> Any:
        return {"output": output}


class Batched(Scorer):
    def predict(self, x: Any) -> Any:
        return [row["amount"] / 1000 for row in x["instances"]]

    def encode_response(self, output: Any) -> Any:
        return {"predictions": output}


def serve(port: int) -> None:
    apis = [Scorer(api_path="/score"), Plain(api_path="/predict"), Batched(api_path="/batch")]
    litserve.LitServer(apis, accelerator="cpu").run(port=port, host="127.0.0.1", generate_client_file=False)


def record() -> None:
    with server([sys.executable, __file__, "serve", "{port}"], "/health") as recorder:

        def pair(case, path, body, *headers):
            recorder.record("litserve", case, path, body, *headers, package="litserve")

        pair("row", "/score", {"amount": 750.0, "country": "DE", "returning": True})
        pair("plain", "/predict", {"amount": 250.0, "country": "FR", "returning": False})
        pair("batch", "/batch", {"instances": [{"amount": 750.0, "visits": 3}, {"amount": 125.0, "visits": 0}]})
        form = [("amount", None, None, b"750"), ("image", "a.png", "image/png", PIXEL)]
        headers = {"Content-Type": "multipart/form-data; boundary=lit-frontier"}
        pair("multipart", "/score", multipart(form, "lit-frontier"), headers)
        pair("form", "/score", "amount=250&country=S%C3%A3o+Tom%C3%A9", FORM)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        record()
