"""Hostile and unlucky input: time, size, errors. And what redacting twice does."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.redact import RedactionPolicy, Redactor
from mlmon_sidecar.redact.gate import FALLBACK_MAX_CHARACTERS, TextTooLong
from mlmon_sidecar.redact.page import LOOKS_PER_CLOCK, OutOfTime
from mlmon_sidecar.redact.placeholders import MASK
from mlmon_sidecar.redact.scanner import SECONDS_FOR_FOUND, Found, Scanned, Scanner

FRAGMENTS = [
    "a", "a@", "a.", "1 ", "1234 ", "a1234567", "sk-", "eyJa.", ":", "a:b:", "://a", "password ",
    "password=", "10.1.1.1 ",
    "-----BEGIN PRIVATE KEY-----", "passport 1 ", "1 A St ", "Astr.5 ", "+1 ", "4111111111111111 ",
    "jo@x.org ", "born ",
    "ssn 219099998 ", "DE89 ", "0x1234567890", "1A", "a-", "(", "[", "<email:", "é1234", "4\u200b",
    "\u0660", "\ud800",
]  # fmt: skip
HOSTILE_CHARACTERS = 250_000


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_hostile_text_is_soon_done_or_given_up(redactor: Redactor, fragment: str) -> None:
    # The test's own time limit is the assertion: quadratic work would take hours.
    text = fragment * (HOSTILE_CHARACTERS // len(fragment))
    try:
        assert len(redactor.redact_text(text)) <= 20 * len(text)
    except OutOfTime:
        pass


class Ticking:
    """A clock that goes on by one second each time it is read, and knows how often that was."""

    def __init__(self) -> None:
        self.read = 0

    def __call__(self) -> float:
        self.read += 1
        return float(self.read)


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_candidates_grow_no_faster_than_the_text(fragment: str) -> None:
    def looks(length: int) -> int:
        clock = Ticking()
        Redactor(scanner=Scanner(RedactionPolicy().entities, 1e12, clock)).redact_text(
            fragment * (length // len(fragment))
        )
        return clock.read * LOOKS_PER_CLOCK

    assert looks(40_000) <= 2.2 * looks(20_000) + 20 * LOOKS_PER_CLOCK


def test_out_of_time_lets_nothing_pass() -> None:
    redactor = Redactor(scanner=Scanner(RedactionPolicy().entities, 0.5, Ticking()))
    text = "jo@example.org " * (2 * LOOKS_PER_CLOCK)
    with pytest.raises(OutOfTime) as raised:
        redactor.redact({"x": text})
    assert "jo@" not in repr(raised.value)


def test_the_standard_engine_is_given_no_more_than_it_can_read(redactor: Redactor) -> None:
    text = "x" * (FALLBACK_MAX_CHARACTERS + 1)
    try:
        assert redactor.redact_text(text) == text
    except TextTooLong:
        assert redactor.redact_text(text[:-1]) == text[:-1]


def test_a_text_that_never_comes_to_rest_is_masked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    redactor = Redactor()

    def restless(texts: Any, *_: Any) -> Any:
        return Scanned({at: [Found(0, 1, "email")] for at in range(len(texts))}, set(range(len(texts))))

    monkeypatch.setattr(redactor._scanner, "scan", restless)
    assert redactor.redact_text("x") == MASK


PIECES = st.sampled_from([
    "jo@example.org", "+14155552671", "4111 1111 1111 1111", "219-09-9998", "219099998", "ssn",
    "phone", "5551234567",
    "DE89 3704 0044 0532 0130 00", "AKIAIOSFODNN7EXAMPLE", "password=x1y2z3", "password", "is",
    "passport", "C01X00T47",
    "born", "12 March 1985", "192.168.1.20", "://u:p@h.org", "12 Main Street", "<email>",
    "<card:1111>", "tel", "06 12 34 56 78",
    "aa:bb:cc:dd:ee:ff", "account number", "12345678", "X1234567L", "-", "_", "\u200b", "é", "日本", "{",
    "\"", "[1]", "A", "1",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=8).flatmap(
    lambda pieces: st.sampled_from(["", " ", ", ", "\n"]).map(lambda glue: glue.join(pieces))
)
REDACTORS = [Redactor(), Redactor(RedactionPolicy.of(actions=("email=partial", "card=partial", "us_ssn=drop")))]


@given(TEXTS, st.sampled_from(REDACTORS))
def test_redacting_twice_changes_nothing(text: str, redactor: Redactor) -> None:
    once = redactor.redact_text(text)
    assert redactor.redact_text(once) == once
    once.encode()


@given(TEXTS)
def test_a_category_does_not_depend_on_its_company(text: str) -> None:
    alone = Redactor().category("column", text)
    assert REDACTORS[0].category("column", text) == alone
    assert REDACTORS[0].redact({"column": text}) == {"column": alone} or text[:1] in "{["


def test_numbers_of_json_are_never_looked_at(redactor: Redactor) -> None:
    chance = random.Random(5)
    document = {
        f"f{at}": chance.choice([4111111111111111, 219099998, 4915112345678, 1.5e300, -5, 123456789])
        for at in range(300)
    }
    assert redactor.redact(document) == document


def test_a_body_of_nothing_but_personal_data_is_redacted() -> None:
    class Working:
        """A clock that says that each entity took what it may take."""

        def __init__(self) -> None:
            self.now = 0.0

        def __call__(self) -> float:
            self.now += 0.9 * LOOKS_PER_CLOCK * SECONDS_FOR_FOUND
            return self.now

    redactor = Redactor(scanner=Scanner(RedactionPolicy().entities, 0.25, Working()))
    assert redactor.redact(["jo@example.org"] * 20_000) == ["<email>"] * 20_000
    with pytest.raises(OutOfTime):
        redactor.redact(["pwd=x pwd=y pwd="] * 50_000)


@given(TEXTS, st.sampled_from(REDACTORS))
def test_texts_that_are_not_looked_at_again_hold_no_more(text: str, redactor: Redactor) -> None:
    class Doubtful:
        """Looks again at every text in which something was found."""

        def __getattr__(self, name: str) -> Any:
            return getattr(redactor._scanner, name)

        def scan(self, *given: Any) -> Scanned:
            found, _ = redactor._scanner.scan(*given)
            return Scanned(found, set(found))

    doubtful = Redactor(redactor.policy, scanner=Doubtful())  # type: ignore[arg-type]
    assert doubtful.redact_text(text) == redactor.redact_text(text)
