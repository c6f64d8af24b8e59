"""Redactors under one interface: a decoded JSON document in, a redacted copy out.

The peers redact texts, so each gets every string of the document, as their users do it. Presidio runs with its pattern
recognisers and, where a spaCy model is installed, with named entities as well.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

Redact = Callable[[Any], Any]


def engines() -> Iterator[tuple[str, Callable[[], Redact]]]:
    """(name, factory) of all that are installed; the factory's time is the cold start."""
    yield "mlmon-sidecar", _ours
    yield "regexes", lambda: over_strings(_regexes())
    for module, name, factory in (
        ("presidio_analyzer", "presidio (patterns)", _presidio),
        ("scrubadub", "scrubadub", _scrubadub),
        ("datafog", "datafog", _datafog),
    ):
        if importlib.util.find_spec(module):
            yield name, lambda factory=factory: over_strings(factory())


def over_strings(redact: Callable[[str], str]) -> Redact:
    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return redact(value)
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner) for inner in value]
        return value

    return walk


def _ours() -> Redact:
    from mlmon_sidecar.redact import Redactor

    return Redactor().redact


def _regexes() -> Callable[[str], str]:
    """What people write themselves on a first afternoon."""
    patterns = [
        re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
        re.compile(r"\b(?:\d[ -]?){13,16}\b"),
        re.compile(r"\b\d{3}-\d{2}-\d{4}\b"),
        re.compile(r"\+?\d{1,3}[ .-]?\(?\d{2,4}\)?[ .-]?\d{3}[ .-]?\d{3,4}\b"),
        re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"),
        re.compile(r"\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b"),
    ]

    def redact(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub("<redacted>", text)
        return text

    return redact


def _presidio() -> Callable[[str], str]:
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())  # else it asks the network
    tldextract.extract = tldextract.tldextract.TLD_EXTRACTOR
    blank = spacy.blank("en")

    class Tokens(NlpEngine):  # type: ignore[misc]
        """Tokens and no model: its pattern recognisers need no more, and models are not on the package index."""

        def load(self) -> None: ...
        def is_loaded(self) -> bool:
            return True

        def process_text(self, text: str, language: str) -> Any:
            doc = blank(text)
            return NlpArtifacts([], doc, [t.idx for t in doc], [t.lower_ for t in doc], self, language)

        def process_batch(self, texts: Any, language: str, **_: Any) -> Any:
            return ((text, self.process_text(text, language)) for text in texts)

        def is_stopword(self, word: str, language: str) -> bool:
            return False

        def is_punct(self, word: str, language: str) -> bool:
            return not word.isalnum()

        def get_supported_entities(self) -> list[str]:
            return []

        def get_supported_languages(self) -> list[str]:
            return ["en"]

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.recognizers = [r for r in registry.recognizers if type(r).__name__ != "SpacyRecognizer"]
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=Tokens(), supported_languages=["en"])

    def redact(text: str) -> str:
        spans = sorted(analyzer.analyze(text=text, language="en", score_threshold=0.4), key=lambda found: -found.start)
        for found in spans:
            text = f"{text[: found.start]}<{found.entity_type}>{text[found.end :]}"
        return text

    return redact


def _scrubadub() -> Callable[[str], str]:
    import scrubadub

    scrubber = scrubadub.Scrubber()
    return lambda text: str(scrubber.clean(text))


def _datafog() -> Callable[[str], str]:
    import datafog

    return lambda text: str(datafog.sanitize(text))
