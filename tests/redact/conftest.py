"""Every test of what is found runs with RE2 and where it cannot be imported."""

import builtins
import sys
from typing import Any

import pytest

from mlmon_sidecar.redact.policy import RedactionPolicy
from mlmon_sidecar.redact.redactor import Redactor


@pytest.fixture(scope="session", params=["re2", "standard"])
def redactor(request: pytest.FixtureRequest) -> Redactor:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "standard":
            without_re2(patch)
        return Redactor(RedactionPolicy.of("default"))


def without_re2(patch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def importing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "re2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    patch.delitem(sys.modules, "re2", raising=False)
    patch.setattr(builtins, "__import__", importing)
