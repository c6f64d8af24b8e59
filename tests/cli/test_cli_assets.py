"""``mlmon assets`` writes files that stand for themselves."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlmon_sidecar.assets.writing import ASSETS
from mlmon_sidecar.cli.assets import Kind
from mlmon_sidecar.cli.main import app
from mlmon_sidecar.errors import MlmonError


@pytest.mark.parametrize("kind", ASSETS)
def test_it_writes_every_file_and_names_it(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    done = CliRunner().invoke(app, ["assets", kind, "-o", str(target)])
    assert done.exit_code == 0, done.output
    written = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert written == set(ASSETS[kind]())
    assert sorted(done.output.split()) == sorted(str(target / name) for name in written)


def test_the_kinds_are_those_there_are() -> None:
    assert set(Kind) == set(ASSETS)


def test_a_place_that_cannot_be_written_is_an_error_with_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(app, ["assets", "grafana", "-o", str(tmp_path / "file")])
    assert isinstance(done.exception, MlmonError) and done.exception.code == "cannot_write"
