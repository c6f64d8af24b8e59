"""``mlmon decode``: the recorded exchanges, from files to columns and predictions, and bodies that nobody can read."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mlmon_sidecar.cli.main import app

FIXTURES = Path(__file__).parents[1] / "decode" / "fixtures"
LLM_FIXTURES = FIXTURES.with_name("llm_fixtures")
CASES = sorted(path for path in FIXTURES.glob("*/*.json") if not path.name.endswith(".expected.json"))
LLM_CASES = sorted(LLM_FIXTURES.glob("*.json"))
TYPES = {bool: "boolean", int: "integer", float: "number", str: "text"}
KEYS = [
    "format", "ok", "model", "version", "request", "response", "rows", "columns", "predictions", "aliases",
    "generation", "left_out", "schema", "error", "notes",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("MLMON_"):
            monkeypatch.delenv(name)


def told(*arguments: str, given: bytes = b"") -> dict[str, Any]:
    """The command's JSON; its exit code says whether the exchange became rows."""
    done = CliRunner().invoke(app, ["decode", *arguments, "--json"], input=given)
    answer: dict[str, Any] = json.loads(done.stdout)
    assert list(answer) == KEYS
    assert done.exit_code == (0 if answer["ok"] else 1)
    return answer


def files_of(case: Path, tmp_path: Path) -> list[str]:
    """Arguments for one recorded pair."""
    pair = json.loads(case.read_text(encoding="utf-8"))
    request, response = pair["request"], pair["response"]
    arguments = ["--path", request["path"], "--method", request["method"], "--status", str(response["status"])]
    for name, side, option in (("request", request, "--header"), ("response", response, "--response-header")):
        body = case.with_name(side["body_file"]).read_bytes() if "body_file" in side else side["body"].encode()
        (tmp_path / name).write_bytes(body)
        for key, value in side["headers"]:
            arguments += [option, f"{key}: {value}"]
    return ["request", "--response", "response", *arguments]


def type_of(column: list[Any]) -> str:
    kinds = {type(cell) for cell in column} - {type(None)}
    if kinds == {int, float}:
        return "number"
    return TYPES[kinds.pop()] if len(kinds) == 1 else "empty"


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "payloads.md").read_text(encoding="utf-8")
    rows = [line for line in page.partition("## Trying it")[2].partition("\n## ")[0].splitlines() if line[:3] == "| `"]
    assert sorted(name for row in rows for name in re.findall(r"`([^`]*)`", row.split("|")[1])) == sorted(KEYS)
    inner = {"generation": told_of("litserve_chat")["generation"], "request": told_of("litserve_chat")["request"]}
    for key, value in inner.items():
        (row,) = [row for row in rows if f"`{key}`" in row.split("|")[1]]
        assert value.keys() <= set(re.findall(r"`([^`]*)`", row))


def told_of(name: str) -> dict[str, Any]:
    pair = json.loads((LLM_FIXTURES / f"{name}.json").read_text())
    Path("q.json").write_text(json.dumps(pair["request"]))
    Path("a.json").write_bytes(b"".join(map(base64.b64decode, pair["chunks_base64"])))
    return told("q.json", "--response", "a.json", "--path", pair["path"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_recorded_pairs(case: Path, tmp_path: Path) -> None:
    want = json.loads(case.with_name(f"{case.stem}.expected.json").read_text(encoding="utf-8"))
    arguments = files_of(case, tmp_path)
    answer = told(*arguments)
    assert [answer["request"]["protocol"], answer["response"]["protocol"]] == want["protocols"]
    assert answer["request"]["reason"]
    assert {column["name"]: column["type"] for column in answer["columns"]} == {
        name: type_of(column) for name, column in want["columns"].items()
    }
    assert [column["missing"] for column in answer["columns"]] == [
        sum(cell is None for cell in want["columns"][column["name"]]) for column in answer["columns"]
    ]
    assert [found["class"] for found in answer["predictions"]] == want["predicted"]
    assert [found["score"] for found in answer["predictions"]] == want["score"]
    assert [found["confidence"] for found in answer["predictions"]] == want["confidence"]
    assert answer["aliases"] == want["aliases"]
    assert (answer["version"], answer["rows"]) == (want["version"], len(want["predicted"]))
    alone = told(*(argument for argument in arguments if argument not in ("--response", "response")))
    assert (alone["columns"], alone["response"], alone["predictions"]) == (answer["columns"], None, [])


@pytest.mark.parametrize("case", LLM_CASES, ids=lambda case: case.stem)
def test_language_models(case: Path, tmp_path: Path) -> None:
    """The protocol is in the file's name; a secret in the prompt and the answer's text are nowhere."""
    pair = json.loads(case.read_text(encoding="utf-8"))
    texts = [text.encode() for text in pair.get("chunks_text", ())]
    body = b"".join(texts or map(base64.b64decode, pair["chunks_base64"]))
    (tmp_path / "request.json").write_text(json.dumps(pair["request"]))
    (tmp_path / "response").write_bytes(body)
    arguments = ["--path", pair["path"], "--status", str(pair["status"]), "--values", "--explain"]
    for name, value in pair["headers"].items():
        arguments += ["--response-header", f"{name}: {value}"]
    answer = told("request.json", "--response", "response", *arguments)
    dialect = case.stem.split("_")[1] if not case.stem.startswith("tgi") else "tgi"
    assert answer["request"]["protocol"].removeprefix("openai_") == dialect
    assert answer["response"]["protocol"] in (None, answer["request"]["protocol"])
    generation = answer["generation"]
    failed = case.stem in ("openai_responses_failed_stream", "litellm_responses_stream") or "error" in case.stem
    assert answer["ok"] is not failed
    assert (generation["end"] == "error") is failed
    assert bool(generation["error"]) is failed
    usage = re.findall(rb'"usage":\s*({[^{}]*"completion_tokens"[^{}]*})', body)
    if usage and not failed:
        said = json.loads(usage[-1])
        assert generation["input_tokens"] == said["prompt_tokens"]
        assert generation["output_tokens"] == said["completion_tokens"]
    shown = json.dumps(answer)
    for message in pair["request"].get("messages", []):
        assert not isinstance(message["content"], str) or message["content"] not in shown
    assert not isinstance(pair["request"].get("prompt"), str) or pair["request"]["prompt"] not in shown


def test_a_finished_stream_in_words(tmp_path: Path) -> None:
    pair = json.loads((LLM_FIXTURES / "openai_chat_tools_stream.json").read_text())
    (tmp_path / "q.json").write_text(json.dumps(pair["request"]))
    (tmp_path / "a.sse").write_text("".join(pair["chunks_text"]))
    done = CliRunner().invoke(app, ["decode", "--explain", "q.json", "--response", "a.sse", "--path", pair["path"]])
    assert done.exit_code == 0
    assert "request: openai_chat: path ends in /chat/completions" in done.stdout
    assert "generation: chat, done; finish reason tool_calls; 61 tokens in, 33 out" in done.stdout
    assert "left out: nothing" in done.stdout


@pytest.mark.parametrize(
    ("body", "content_type", "side", "code", "at"),
    [
        (b'{"a": 1, }', "application/json", "request", "not_json", 7),
        (b'\xef\xbb\xbf{"a": 1, }', "application/json", "request", "not_json", 10),
        (b"", "application/json", "request", "not_json", 0),
        (b"\x00\xff\x89PNG", "", "request", "not_json", 0),
        (b"<html>", "text/html", "request", "unsupported_media_type", None),
        (b'{"inputs":[{"name":"x","datatype":"FP32","shape":[9],"data":[1]}]}', "", "request", "wrong_shape", None),
        (b'a,"b', "text/csv", "request", "malformed", None),
        (b"\x1f\x8b\x08\x00cut off", "application/octet-stream", "", "", None),
        (b"[[1], {}]", "application/json", "request", "wrong_shape", None),
        (b'[{"a": 1}, {"a": 2}]', "application/json", "exchange", "row_mismatch", None),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, body: bytes, content_type: str, side: str, code: str, at: int | None) -> None:
    (tmp_path / "response.json").write_text('{"scores": [1, 2, 3], "score": 0.5}')
    answer = told("-", "--response", "response.json", "--content-type", content_type, given=body)
    if not code:
        assert {column["name"] for column in answer["columns"]} == {"body.bytes", "body.media_type"}
        return
    error = answer["error"]
    assert (error["side"], error["code"], error["byte"]) == (side, code, at)
    assert error["message"]
    assert error["hint"]
    assert answer["rows"] == 0


@pytest.mark.parametrize(("status", "code"), [("404", "not_a_prediction"), ("200", "wrong_shape")])
def test_an_answer_that_is_no_prediction(tmp_path: Path, status: str, code: str) -> None:
    (tmp_path / "a.json").write_text('{"detail": {"why": "nothing"}}')
    answer = told("-", "--response", "a.json", "--status", status, given=b'{"a": 1}')
    assert answer["error"]["code"] == code


def test_values_are_shown_redacted_and_texts_by_length(tmp_path: Path) -> None:
    body = {
        "email": "jo@example.org", "note": "call jo@example.org", "prompt": "a secret", "age": 3, "long": "x" * 65,
        "jane.doe@example.com": 1,
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(body))
    (tmp_path / "mlmon.toml").write_text('[privacy]\npreset = "off"\n')
    without, given = told("a.json"), told("a.json", "--values", "--config", "mlmon.toml")
    assert all("values" not in column for column in without["columns"])
    assert {column["name"]: column["values"] for column in given["columns"]} == {
        "email": ["<redacted>"], "note": ["call <email>"], "prompt": ["<text of 8 characters>"], "age": [3],
        "long": ["<text of 65 characters>"], "<email>": [1],
    }  # fmt: skip


def test_what_json_and_terminals_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"score": 0.5}')
    body = b'{"\\ud800": 1, "a": "\\ud800", "b": NaN, "c": [1e999], "d": "\\u001b[2J", "\\u001b[2J": 1}'
    for option in ("--json", "--explain"):
        done = CliRunner().invoke(app, ["decode", "-", "--values", "--response", "a.json", option], input=body)
        assert done.exit_code == 0, done.output
        assert "\x1b[2J" not in done.stdout
        assert "NaN" not in done.stdout
        assert "Infinity" not in done.stdout


def test_what_is_left_out_and_what_breaks_the_schema(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("age,country\n" + "".join(f"{20 + at % 50},DE\n" for at in range(400)))
    (tmp_path / "mlmon.toml").write_text(
        '[models.m]\nbaseline = "m.json"\nroutes = ["POST /m"]\n[models.n]\nroutes = ["POST /n"]\n'
    )
    build_baseline_file(tmp_path)
    arguments = ("--config", "mlmon.toml", "--path", "/m")
    body = json.dumps([{"age": "old", "extra": 1}, {"age": 4, "extra": 2}, 7]).encode()
    answer = told("-", *arguments, given=body)
    assert answer["left_out"] == {"bad_row": 1}
    assert answer["schema"]["baseline"]
    assert {(one["kind"], one["column"], one["rows"]) for one in answer["schema"]["violations"]} == {
        ("missing_feature", "country", 2), ("additional_feature", "extra", 2), ("type_change", "age", 1),
    }  # fmt: skip
    wide = told("-", *arguments, given=b"[[1, 2, 3]]")
    assert ("wrong_width", "", 1) in {(one["kind"], one["column"], one["rows"]) for one in wide["schema"]["violations"]}
    twice = told("-", *arguments, given=b'{"age": 1, "age": 2, "country": {"a": 1, "a": 1}}')
    assert twice["left_out"] == {"repeated_name": 2}


def build_baseline_file(folder: Path) -> None:
    done = CliRunner().invoke(
        app, ["baseline", "build", str(folder / "data.csv"), "--model", "m", "--output", str(folder / "m.json")]
    )
    assert done.exit_code == 0, done.output


def test_the_model_is_the_one_whose_route_it_is(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text(
        '[models.a]\nroutes = ["POST /a"]\nversion = "1"\n[models.b]\nroutes = ["POST /b"]\nversion = "2"\n'
    )
    assert told("-", "--path", "/b", given=b'{"x": 1}')["version"] == "2"
    forced = told("-", "--path", "/b", "--model", "a", given=b'{"x": 1}')
    assert (forced["version"], len(forced["notes"])) == ("1", 1)
    for arguments in (["--path", "/c"], ["--model", "c"]):
        assert CliRunner().invoke(app, ["decode", "-", *arguments], input=b"{}").exit_code == 1


def test_bodies_too_large_to_be_captured(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("max_body_bytes = 10\n")
    assert told("-", "--content-type", "text/csv", given=b"1,2,3\n4,5,6\n")["error"]["code"] == "body_too_large"
    (tmp_path / "scan.png").write_bytes(b"x" * 100)
    assert told("scan.png", "--values")["columns"][0] == {
        "name": "body.bytes", "type": "integer", "missing": 0, "values": [100]
    }  # fmt: skip


def test_the_command_as_a_process(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"age": 3, }')
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")}
    if "PYTHONPATH" in environ:
        environ["PYTHONPATH"] = str(Path(environ["PYTHONPATH"]).resolve())
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "decode", "--explain"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False
        )

    done = run("a.json")
    assert done.returncode == 1
    assert "dropped: request: the body is not JSON at byte 9 [not_json]" in done.stdout
    assert "age" not in done.stdout
    missing = run("none.json")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "cannot be read" in missing.stderr
