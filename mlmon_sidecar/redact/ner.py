"""Presidio's analyzer as the reader of prose, with a model that is installed. Never reaches the network."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from mlmon_sidecar.errors import ConfigError, MissingExtra
from mlmon_sidecar.redact.prose import Reader
from mlmon_sidecar.redact.scanner import Found

MIN_SCORE = 0.4  # Presidio's own default for what its language model names is 0.85
_LABELS = {"PERSON": "person_name", "LOCATION": "postal_address"}


def presidio_reader(model: str) -> Reader:
    """A reader over the installed spaCy package ``model``.

    Only the recogniser of the language model is registered: Presidio's e-mail recogniser would ask the network for the
    list of top-level domains, and what has a form is found here already.

    Raises:
        MissingExtra: Presidio is not installed.
        ConfigError: ``no_language_model``; Presidio would download it.
    """
    try:
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer
    except ImportError:
        raise MissingExtra("ner", "privacy.ner") from None
    if importlib.util.find_spec(model) is None:
        raise ConfigError(
            f"privacy.ner_model: {model!r} is not an installed package",
            code="no_language_model",
            hint="Install the spaCy model with pip; it is never downloaded from here.",
        )
    language = model[:2]
    engine = SpacyNlpEngine(models=[{"lang_code": language, "model_name": model}])
    engine.load()
    recogniser = SpacyRecognizer(supported_language=language, supported_entities=list(_LABELS))
    registry = RecognizerRegistry(recognizers=[recogniser], supported_languages=[language])
    analyzer = AnalyzerEngine(nlp_engine=engine, registry=registry, supported_languages=[language])
    return reader_of(analyzer, language)


def reader_of(analyzer: Any, language: str) -> Reader:
    """What an analyzer finds, in order and apart from each other."""

    def read(text: str) -> Sequence[Found]:
        results = analyzer.analyze(text=text, language=language, entities=list(_LABELS), score_threshold=MIN_SCORE)
        found: list[Found] = []
        for result in sorted(results, key=lambda one: (one.start, -one.end)):
            if not found or result.start >= found[-1].end:
                found.append(Found(result.start, result.end, _LABELS[result.entity_type]))
        return found

    return read
