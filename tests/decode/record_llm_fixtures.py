"""Record what real OpenAI-compatible servers send, for tests/decode/llm_fixtures.

Each server needs an environment of its own: pip install litserve httpx, or pip install 'litellm[proxy]' httpx
    python tests/decode/record_llm_fixtures.py litserve tests/decode/llm_fixtures
Both servers run on 127.0.0.1 and answer from a few lines of Python or a canned text; no model, no network.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

HOST = "127.0.0.1"
ASK = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "What is the answer?"}]
LITSERVE = """
import random, sys, time
import litserve as ls

class Words(ls.LitAPI):
    def setup(self, device): pass
    def predict(self, prompt):
        yield from ["The", " answer", " is", " 42", "."]
    def encode_response(self, output, context):
        words = list(output)
        for word in words[:-1]:
            time.sleep(0.002)
            yield {"role": "assistant", "content": word}
        yield {"role": "assistant", "content": words[-1], "prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}

class Vectors(ls.LitAPI):
    def setup(self, device): pass
    def predict(self, texts):
        draw = random.Random(1)
        return [[draw.uniform(-1, 1) for _ in range(96)] for _ in texts]
    def encode_response(self, output):
        return {"embeddings": output, "prompt_tokens": 9, "total_tokens": 9}

if __name__ == "__main__":
    api = Words(spec=ls.OpenAISpec()) if sys.argv[1] == "chat" else Vectors(spec=ls.OpenAIEmbeddingSpec())
    ls.LitServer(api, accelerator="cpu").run(port=int(sys.argv[2]), host="127.0.0.1", generate_client_file=False)
"""  # noqa: E501 - another program's text
LITELLM = """
model_list:
  - model_name: canned
    litellm_params: {model: openai/gpt-4o-mini, api_key: none, mock_response: "The answer is 42, as everybody knows."}
  - model_name: refusing
    litellm_params: {model: openai/gpt-4o-mini, api_key: none, mock_response: "litellm.RateLimitError"}
"""
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
CASES: dict[str, dict[str, tuple[str, dict[str, Any]]]] = {
    "litserve-chat": {
        "litserve_chat": ("/v1/chat/completions", {"model": "lit", "messages": ASK, "temperature": 0.2}),
        "litserve_chat_stream": ("/v1/chat/completions", {"model": "lit", "messages": ASK, "stream": True}),
    },
    "litserve-embedding": {
        "litserve_embeddings": ("/v1/embeddings", {"model": "lit", "input": ["alpha", "beta"]}),
    },
    "litellm": {
        "litellm_chat": ("/v1/chat/completions", {"model": "canned", "messages": ASK}),
        "litellm_chat_stream": ("/v1/chat/completions", {"model": "canned", "messages": ASK, **USAGE}),
        "litellm_chat_error": ("/v1/chat/completions", {"model": "refusing", "messages": ASK}),
        "litellm_completions": ("/v1/completions", {"model": "canned", "prompt": "The answer is", "max_tokens": 20}),
        "litellm_completions_stream": ("/v1/completions", {"model": "canned", "prompt": "The answer is", **USAGE}),
        "litellm_responses": ("/v1/responses", {"model": "canned", "input": "What is the answer?"}),
        "litellm_responses_stream": ("/v1/responses", {"model": "canned", "input": "What is it?", "stream": True}),
    },
}


@contextmanager
def serving(command: list[str], port: int, path: str, environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                httpx.get(f"http://{HOST}:{port}{path}")
                break
            except httpx.TransportError:
                time.sleep(0.5)
        yield
    finally:
        process.terminate()
        process.wait(20)


def record(folder: Path, server: str, port: int, headers: dict[str, str]) -> None:
    package = server.partition("-")[0]
    with httpx.Client(base_url=f"http://{HOST}:{port}", timeout=60, headers=headers) as client:
        for name, (path, body) in CASES[server].items():
            begun = time.monotonic()
            with client.stream("POST", path, json=body) as answer:
                chunks = [(round((time.monotonic() - begun) * 1e3, 3), chunk) for chunk in answer.iter_raw()]
            wanted = ("content-type", "content-encoding")
            fixture = {
                "origin": f"recorded from {package} {version(package)} by tests/decode/record_llm_fixtures.py",
                "path": path,
                "request": body,
                "status": answer.status_code,
                "headers": {name: value for name, value in answer.headers.items() if name in wanted},
                "chunks_ms": [at for at, _ in chunks],
                "chunks_base64": [base64.b64encode(chunk).decode() for _, chunk in chunks],
            }
            (folder / f"{name}.json").write_text(json.dumps(fixture, indent=1) + "\n")


def main(package: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        if package == "litserve":
            program = Path(scratch, "server.py")
            program.write_text(LITSERVE)
            for kind, port in (("chat", 18931), ("embedding", 18932)):
                with serving([sys.executable, str(program), kind, str(port)], port, "/health", {}):
                    record(folder, f"litserve-{kind}", port, {})
            return
        config = Path(scratch, "litellm.yaml")
        config.write_text(LITELLM)
        key = "sk-" + secrets.token_hex(24)
        environ = {"LITELLM_MASTER_KEY": key, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        command = [str(Path(sys.executable).with_name("litellm")), "--config", str(config), "--host", HOST]
        with serving([*command, "--port", "18941"], 18941, "/health/liveliness", environ):
            record(folder, "litellm", 18941, {"authorization": f"Bearer {key}"})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
