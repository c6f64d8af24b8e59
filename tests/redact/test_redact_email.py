import builtins
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from mlmon_sidecar.redact.entities import ENTITIES
from mlmon_sidecar.redact.entities.email import EmailDetector
from mlmon_sidecar.redact.gate import FALLBACK_WINDOW
from mlmon_sidecar.redact.redactor import Redactor

POSITIVE = {
    "jo@example.org": "<email>",
    "Mail jo.doe+tag@mail.example.co.uk, please": "Mail <email>, please",
    "<jo@example.org>": "<<email>>",
    "Jo Doe <jo@example.org>;ann@b.de": "Jo Doe <<email>>;<email>",
    "(jo@example.org)": "(<email>)",
    "It is jo@example.org.": "It is <email>.",
    "jo@example.org's cat": "<email>'s cat",
    "'jo@example.org'": "'<email>'",
    "mailto:jo@example.org?subject=hi": "mailto:<email>?subject=hi",
    '{"a":"jo@example.org"}': '{"a":"<email>"}',
    "o'brien@example.ie": "<email>",
    "jörg@exämple.de": "<email>",
    "jo@xn--exmple-cua.xn--p1ai": "<email>",
    "jo@EXAMPLE.MUSEUM": "<email>",
    "jo@163.com and 12345@qq.com": "<email> and <email>",
    "https://user:pw@host.example.com/x": "https://user:<email>/x",
    "a=jo@example.org&b=2": "a=<email>&b=2",
    "@fan@mastodon.social": "@<email>",
    "x@y@example.com": "x@<email>",
    "jo_doe-1%x@sub-domain.example.io\n": "<email>\n",
    "jo@example.org:hunter2": "<email>:hunter2",
    "日本 jo@example.jp 日本": "日本 <email> 日本",
    "\ud800 jo@example.org": "\ud800 <email>",
}
NEGATIVE = [
    "", "@", "plain text", "user@host", "a@b", "root@localhost", "@property", "@app.route('/x')", "jo@", "@example.org",
    "jo @ example.org", "jo@.org", "jo@example", "jo@example.o", "jo@example.123", "jo@-example.org", "jo@example-.org",
    "jo@exa..mple.org", "jo..doe@example.org", "jo.@example.org", "@angular/core@12.0.1", "npm i @types/node@20.1.0",
    "lodash@4.17.21", "react@18.0.0-rc.beta", "pkg@v1.2.3-alpha.next", "image@sha256:abcdef", "icon@2x.png",
    "logo@3x.jpg", "report@final.pdf", "git@github.com:org/repo.git", "5 @ 3.50", "a @b.c", "w@x.T",
    "x" * 65 + "@a.org",
    "jo@" + "a" * 64 + ".org", "jo@" + "a." * 130 + "org", "1700000000@1.5", "3@4.5", "price@12.50eur",
    "p@ss.w0rd",
    "C4@5.6", "SELECT @x.y", "10.0.0.1@eth0", "postgres@12.4", "v1.2.3@main",
]  # fmt: skip


@pytest.fixture(params=["re2", "standard"])
def redactor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redactor]:
    """With RE2, and where it cannot be imported."""
    if request.param == "standard":
        real = builtins.__import__

        def without_re2(name: str, *args: Any, **kwargs: Any) -> Any:
            if name == "re2":
                raise ImportError(name)
            return real(name, *args, **kwargs)

        monkeypatch.delitem(sys.modules, "re2", raising=False)
        monkeypatch.setattr(builtins, "__import__", without_re2)
    yield Redactor()


@pytest.mark.parametrize("text", POSITIVE)
def test_finds(redactor: Redactor, text: str) -> None:
    assert redactor.redact_text(text) == POSITIVE[text]


@pytest.mark.parametrize("text", NEGATIVE)
def test_leaves_alone(redactor: Redactor, text: str) -> None:
    assert redactor.redact_text(text) == text


def test_masking_twice_changes_nothing(redactor: Redactor) -> None:
    for text in [*POSITIVE, *NEGATIVE]:
        once = redactor.redact_text(text)
        assert redactor.redact_text(once) == once


@pytest.mark.parametrize("offset", range(-20, 20, 3))
def test_window_borders_lose_none(redactor: Redactor, offset: int) -> None:
    text = "x " * (FALLBACK_WINDOW // 2 - 200) + "y" * offset + " jo@example.org " + "z " * 3000
    assert redactor.redact_text(text) == text.replace("jo@example.org", "<email>")


@pytest.mark.parametrize("hostile", ["a" * 1_000_000, "@" * 1_000_000, "a@" * 500_000, "a." * 500_000 + "@"])
def test_a_megabyte_of_hostile_text_is_soon_done(hostile: str) -> None:
    # The test's own time limit is the assertion: quadratic work would take hours.
    assert Redactor().redact_text(hostile) == hostile


def test_the_table_names_each_detector() -> None:
    for name, make in ENTITIES.items():
        detector = make()
        assert detector.name == name
        assert detector.gate
        assert list(detector.spans("")) == []
    assert list(EmailDetector().spans("to jo@example.org, x@y.de")) == [(3, 17), (19, 25)]
