"""``mlmon config`` as a process: output, streams and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def mlmon(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")}
    return subprocess.run(
        [sys.executable, "-m", "mlmon_sidecar.cli.main", *arguments],
        cwd=cwd, env=inherited | _import_path() | environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def _import_path() -> dict[str, str]:
    """Relative entries of PYTHONPATH still mean what they meant, though the child runs elsewhere."""
    given = os.environ.get("PYTHONPATH", "")
    return (
        {"PYTHONPATH": os.pathsep.join(str(Path(part).resolve()) for part in given.split(os.pathsep))} if given else {}
    )


def test_the_version(tmp_path: Path) -> None:
    done = mlmon("--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mlmon ")


def test_show_tells_value_and_origin(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("[alerts]\nfalse_alarm_days = 30\n[models.'a.b']\nkeep = 0.5\n")
    done = mlmon("config", "show", cwd=tmp_path, MLMON_HUB__URL="unix:///run/h.sock", MLMON_STOER="x")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "alerts.false_alarm_days = 30.0  # mlmon.toml" in lines
    assert 'hub.url = "unix:///run/h.sock"  # MLMON_HUB__URL' in lines
    assert "models.'a.b'.keep = 0.5  # mlmon.toml" in lines
    assert "enabled = true  # default" in lines
    assert done.stderr == (
        "warning: the environment variable MLMON_STOER is not a setting and is ignored; did you mean MLMON_STORE?\n"
    )


def test_show_as_json_reads_back(tmp_path: Path) -> None:
    done = mlmon("config", "show", "--json", cwd=tmp_path)
    values = json.loads(done.stdout)
    assert values["models"]["default"]["outcomes"]["horizon"] == "60d"
    assert values["store"] == "sqlite:///mlmon.db"


def test_show_hides_credentials(tmp_path: Path) -> None:
    for arguments in (("config", "show"), ("config", "show", "--json")):
        done = mlmon(*arguments, cwd=tmp_path, MLMON_EXPORT__ENDPOINT="https://user:hunter2@collector:4318")
        assert "https://***@collector:4318" in done.stdout
        assert "hunter2" not in done.stdout + done.stderr


def test_check_passes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 32)
    (tmp_path / "own.toml").write_text("[models.fraud]\n[tokens]\nread = 'token'\n")
    done = mlmon("config", "check", "--config", "own.toml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok: own.toml; models: fraud\n", "")


def test_check_names_every_mistake_and_exits_with_one(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("stroe = 'x'\n[models.fraud]\nkeep = 3\n")
    done = mlmon("config", "check", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: 2 problems in the configuration:\n")
    assert "mlmon.toml: unknown key 'stroe', did you mean 'store'?" in done.stderr
    assert "mlmon.toml: models.fraud.keep: must be at most 1.0, but is the number 3" in done.stderr
    assert "[config_invalid]" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_reports_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("[models.fraud]\nbaseline = 'gone.json'\n[tokens]\nlabel = 'hunter2'\n")
    done = mlmon("config", "check", cwd=tmp_path)
    assert done.returncode == 1
    assert "models.fraud.baseline: the file it names cannot be read (No such file or directory)" in done.stderr
    assert "tokens.label: the file it names cannot be read" in done.stderr
    assert "hunter2" not in done.stderr


def test_markup_in_a_value_is_text(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text("endpoints = '[red]x[/red]'\n")
    done = mlmon("config", "check", cwd=tmp_path)
    assert '"[red]x[/red]"' in done.stderr


def test_the_schema_is_json(tmp_path: Path) -> None:
    schema = json.loads(mlmon("config", "schema", cwd=tmp_path).stdout)
    assert schema["title"] == "mlmon.toml"
    assert "false_alarm_days" in schema["$defs"]["AlertSettings"]["properties"]


def test_a_traceback_only_for_those_who_ask(tmp_path: Path) -> None:
    arguments = ("config", "check", "--config", "gone.toml")
    plain = mlmon(*arguments, cwd=tmp_path)
    assert plain.returncode == 1
    assert "gone.toml: cannot be read (No such file or directory) [config_missing]" in plain.stderr
    assert "Name another file with --config" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in mlmon(*arguments, cwd=tmp_path, MLMON_DEBUG="1").stderr


@pytest.mark.parametrize(
    "arguments",
    [("confg",), ("config", "shwo"), ("config", "check", "--confg", "x"), ("hub", "--listen", "nowhere"),
     ("hub", "--listen", "h:99999"), ("demo", "--port", "70000"), ("baseline", "build")],
)  # fmt: skip
def test_wrong_usage_exits_with_two(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = mlmon(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
