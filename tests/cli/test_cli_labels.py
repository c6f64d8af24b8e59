"""``mlmon labels import`` against a real endpoint, from every kind of file."""

import json
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import uvicorn

from mlmon_sidecar.cli import main as cli
from mlmon_sidecar.clock import SystemClock
from mlmon_sidecar.records import Label, LabelReceipt, LabelStatus
from mlmon_sidecar.web.app import WebOptions, build_web
from mlmon_sidecar.web.tokens import Scope, TokenSet

TOKEN = "label-token-0123456789"
KEY = "signing-key-0123456789"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 10**9


class TakingHub:
    def __init__(self) -> None:
        self.taken: list[Label] = []

    def labels(self, labels: Sequence[Label], key: str = "") -> list[LabelReceipt]:
        self.taken += labels
        return [LabelReceipt(label.id, LabelStatus.ACCEPTED) for label in labels]


@pytest.fixture(name="hub")
def _hub() -> TakingHub:
    return TakingHub()


@pytest.fixture(name="url", params=[(), (KEY,)], ids=["plain", "signed"])
def _url(hub: TakingHub, request: pytest.FixtureRequest) -> Iterator[str]:
    tokens = TokenSet.of({Scope.LABEL: [TOKEN]})
    options = WebOptions(tokens, SystemClock(), signing_keys=request.param)
    app = build_web(hub, options)  # type: ignore[arg-type]  # the part used here
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture(name="run")
def _run(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "key").write_text(KEY)

    def run(file: Path, *more: str) -> tuple[int, dict[str, Any]]:
        arguments = ["mlmon", "labels", "import", str(file), "--url", url, "--token-file", str(tmp_path / "token"),
                     "--signing-key-file", str(tmp_path / "key"), "--json", *more]  # fmt: skip
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr().out
        return int(ended.value.code or 0), json.loads(printed) if printed else {}

    return run


def test_every_kind_of_file_says_the_same(run: Any, hub: TakingHub, tmp_path: Path) -> None:
    csv, lines, parquet = (tmp_path / f"labels.{suffix}" for suffix in ("csv", "jsonl", "parquet"))
    csv.write_text(f"tx,verdict,at\na,fraud,{AT.isoformat()}\nb,legit,{AT.timestamp():.0f}\n")
    lines.write_text(
        json.dumps({"tx": "a", "verdict": "fraud", "at": AT.isoformat()})
        + "\n\n"
        + json.dumps({"tx": "b", "verdict": "legit", "at": AT.timestamp()})
    )
    table = pyarrow.table({"tx": ["a", "b"], "verdict": ["fraud", "legit"], "at": [AT, AT]})
    pyarrow.parquet.write_table(table, parquet)
    for file in (csv, lines, parquet):
        hub.taken.clear()
        columns = ("--id", "tx", "--label", "verdict", "--observed-at", "at", "--source", "bank", "--model", "m")
        assert run(file, *columns) == (0, {"accepted": 2, "rejects": []})
        assert hub.taken == [Label("a", "fraud", AT_NS, "m", "bank"), Label("b", "legit", AT_NS, "m", "bank")]


def test_rows_that_cannot_be_used_are_told_and_cost_themselves_alone(run: Any, hub: TakingHub, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("id,label,observed_at,weight\na,x,,2\n,x,,\nb,,,\nc,x,2026-03-01T12:00:00,\nd e,x,,\nf,x,,much\n")
    code, said = run(file)
    assert (code, said["accepted"], said["invalid"]) == (1, 1, 5)
    assert [reject["row"] for reject in said["rejects"]] == [2, 3, 4, 5, 6]
    assert [(label.id, label.weight) for label in hub.taken] == [("a", 2.0)]
    assert run(file, "--utc")[1]["accepted"] == 2


@pytest.mark.parametrize(("name", "content"), [("l.txt", b""), ("l.parquet", b"no"), ("l.csv", b"id,label\n\xff,x\n")])
def test_a_file_that_cannot_be_read_is_an_error(run: Any, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert run(tmp_path / name) == (1, {})
    assert run(tmp_path / "missing.csv") == (1, {})
