"""What is installed is what is tested, and setting it up needs nothing but python3 and make."""

import os
import re
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import mlmon_sidecar

ROOT = Path(__file__).resolve().parent.parent
SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"]).resolve()
SET_UP = [ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "pyproject.toml", *sorted((ROOT / "scripts").iterdir())]

installed_wheel = pytest.mark.skipif(
    os.environ.get("MLMON_TEST_INSTALLED") != "1", reason="the working tree is under test; make test installs the wheel"
)


@installed_wheel
def test_the_wheel_is_under_test_and_not_the_working_tree() -> None:
    assert Path(mlmon_sidecar.__file__).resolve().is_relative_to(SITE_PACKAGES)


@installed_wheel
def test_programs_started_by_tests_use_the_wheel_too() -> None:
    command = [sys.executable, "-c", "import mlmon_sidecar; print(mlmon_sidecar.__file__)"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert Path(told.strip()).resolve().is_relative_to(SITE_PACKAGES)


@installed_wheel
def test_the_wheel_holds_the_package_and_nothing_beside_it() -> None:
    distribution = metadata.distribution("mlmon-sidecar")
    files = {str(file) for file in distribution.files or ()}
    assert {file.split("/")[0] for file in files} <= {
        "mlmon_sidecar",
        f"mlmon_sidecar-{mlmon_sidecar.__version__}.dist-info",
        "..",  # bin/mlmon
    }
    assert "mlmon_sidecar/py.typed" in files
    assert distribution.version == mlmon_sidecar.__version__
    source = {str(path.relative_to(ROOT)) for path in (ROOT / "mlmon_sidecar").rglob("*.py")}
    assert source <= files


@installed_wheel
def test_the_command_is_installed() -> None:
    command = Path(sysconfig.get_paths()["scripts"]) / "mlmon"
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout
    assert told == f"mlmon {mlmon_sidecar.__version__}\n"


@pytest.mark.parametrize("path", SET_UP, ids=lambda path: path.name)
def test_set_up_names_no_place_to_download_from(path: Path) -> None:
    if path.is_file():
        assert not re.search(
            r"https?://|--(extra-)?index-url|--find-links|trusted-host", path.read_text(encoding="utf-8")
        )


def test_scripts_can_be_run() -> None:
    scripts = [
        path for path in SET_UP if path.parent.name in ("scripts", ".ci") and path.suffix == "" and path.is_file()
    ]
    assert len(scripts) >= 5
    assert not [path.name for path in scripts if not os.access(path, os.X_OK)]


def test_make_without_a_target_tells_what_there_is() -> None:
    told = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in told.splitlines() if line.startswith("  make ")} == {
        "help", "demo", "test", "test-compat", "check", "lint", "docs", "clean",
    }  # fmt: skip
