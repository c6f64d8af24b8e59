"""Compiles the tap's usual path where there is a C compiler. Without one the wheel is pure Python, and works the same.

The compiler is the one that Python was built with, or ``CC``.
With ``MLMON_PURE_PYTHON=1`` it is pure Python anyway: one wheel for every machine.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("mlmon_sidecar", "capture")
COMPILE_SECONDS = 120
FLAGS = ("-O3", "-g0", "-fno-plt", "-fno-semantic-interposition")


class BuildHook(BuildHookInterface):
    """Adds ``_tap`` to the wheel and gives the wheel this interpreter's tag, or leaves both as they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or os.environ.get("MLMON_PURE_PYTHON", "0") not in ("", "0"):
            return
        try:
            built = compile_tap(Path(self.root))
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            self.app.display_warning(f"The tap was not compiled, the pure Python one is used: {error}")
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"/{built.relative_to(self.root).as_posix()}")


def compile_tap(root: Path) -> Path:
    """Beside its source, where an editable installation finds it. Raises OSError, SubprocessError or ValueError."""
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ValueError("it is written for CPython with its global lock")
    if sys.platform not in ("linux", "darwin"):
        raise ValueError(f"it is not written for {sys.platform}")
    said = {
        name: sysconfig.get_config_var(name) or "" for name in ("CC", "CFLAGS", "CCSHARED", "LDSHARED", "EXT_SUFFIX")
    }
    source = root / FOLDER / "_tap.c"
    built = root / FOLDER / f"_tap{said['EXT_SUFFIX']}"
    usual = shlex.split(said["CC"]) or ["cc"]
    linking = shlex.split(said["LDSHARED"]) or [*usual, "-shared"]
    if "CC" in os.environ and linking[: len(usual)] == usual:
        linking[: len(usual)] = shlex.split(os.environ["CC"])
    flags = [*shlex.split(said["CFLAGS"]), *shlex.split(said["CCSHARED"] or "-fPIC"), *FLAGS]
    command = [*linking, *flags, f"-I{sysconfig.get_path('include')}", str(source), "-o", str(built)]
    built.unlink(missing_ok=True)  # one that is loaded somewhere keeps its file
    found = subprocess.run(  # noqa: S603 - the compiler Python was built with, and our own paths, no shell
        command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
    )
    if found.returncode != 0:
        raise ValueError(f"{command[0]} ended with {found.returncode}: {found.stderr.strip()[-400:]}")
    return built
