import pytest

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
    "https://user@host.example.com/x": "https://<email>/x",
    "連絡先jo@example.jpまで": "連絡先<email>まで",
    "用户@例子.广告": "<email>",
    "ｊｏ＠ｅｘａｍｐｌｅ．ｏｒｇ": "<email>",
    "jo@exam\u200bple.org": "<email>",
    "a=jo@example.org&b=2": "a=<email>&b=2",
    "@fan@mastodon.social": "@<email>",
    "x@y@example.com": "x@<email>",
    "jo_doe-1%x@sub-domain.example.io\n": "<email>\n",
    "jo@example.org:hunter2": "<email>:hunter2",
    "日本 jo@example.jp 日本": "日本 <email> 日本",
    "\ud800 jo@example.org": "? <email>",
    "10.0.0.1@eth0": "<ip_address>@eth0",
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
    "C4@5.6", "SELECT @x.y", "postgres@12.4", "v1.2.3@main",
]  # fmt: skip


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
