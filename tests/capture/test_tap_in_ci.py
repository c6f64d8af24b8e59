"""Tests of the compiled tap are left out where it was not built: never in CI, where it could have been."""

from __future__ import annotations

import os
import shlex
import sysconfig
from pathlib import Path
from shutil import which

import pytest

from mlmon_sidecar.capture import compiled

TAPS = ["pure"]


def test_the_tap_is_compiled_where_it_can_be() -> None:
    if os.environ.get("CI") != "true":
        pytest.skip("outside CI a pure installation is fine")
    if os.environ.get(compiled.PURE, "0") not in ("", "0"):
        pytest.skip("pure Python is asked for")
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if which(compiler) is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("no C compiler or no headers here")
    assert compiled.tap is not None, "built without the compiled tap"
