"""``mlmon redact`` as a process: files, standard input, what it says and what it must not say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = {"user": {"email": "jo@example.org", "note": "call +49 30 1234567"}, "amount": 4111111111111111}
REDACTED = {"user": {"email": "<redacted>", "note": "call <phone>"}, "amount": 4111111111111111}


def mlmon_redact(*arguments: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MLMON_")}
    if "PYTHONPATH" in environ:
        environ["PYTHONPATH"] = str(Path(environ["PYTHONPATH"]).resolve())
    command = [sys.executable, "-m", "mlmon_sidecar.cli.main", "redact", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environ, input=given, capture_output=True, text=True, timeout=120, check=False
    )


def test_explains_a_file_without_a_value(tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text(json.dumps(DOCUMENT))
    done = mlmon_redact("body.json", "--explain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == REDACTED
    assert "user.email: key:email: mask" in done.stderr
    assert "user.note: phone: mask" in done.stderr
    assert "jo@" not in done.stdout + done.stderr
    assert "1234567" not in done.stderr


def test_takes_the_configuration_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "mlmon.toml").write_text(
        "[privacy]\nactions = ['email=hash', 'phone=drop']\nfields = ['amount=mask']\nhash_key_file = 'keys'\n"
    )
    (tmp_path / "keys").write_text("k7:a-secret-of-some-length\n")
    done = mlmon_redact("-", "--json", "--explain", cwd=tmp_path, given=json.dumps(DOCUMENT))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["document"]["user"]["email"].startswith("<email:h1:k7:")
    assert (answer["document"]["user"]["note"], answer["document"]["amount"]) == ("call ", "<redacted>")
    assert {"path": "user.note", "rule": "phone", "action": "drop"} in answer["actions"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("mail jo@a.org", "mail <email>\n"), ('{"pin": 1}\n{"pin": 2}\n', [{"pin": "<redacted>"}, {"pin": "<redacted>"}])],
)
def test_takes_text_and_json_lines(tmp_path: Path, given: str, expected: object) -> None:
    done = mlmon_redact("-", "--preset", "pci", cwd=tmp_path, given=given)
    if isinstance(expected, str):
        assert done.stdout == expected
    else:
        assert [{"pin": "<redacted>"}] * 2 == expected == json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.json",), "cannot be read"),
        (("-", "--preset", "pcj"), "is not a preset"),
        (("-",), "Did you mean 'email'"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "mlmon.toml").write_text("[privacy]\nentities = ['emial']\n")
    done = mlmon_redact(*arguments, cwd=tmp_path, given="{}")
    assert done.returncode == 1
    assert said in done.stderr.replace("\n", " ")
