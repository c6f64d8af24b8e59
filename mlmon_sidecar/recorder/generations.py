"""What language models took and gave: into the figures at once, and onto the log records of their predictions."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

import orjson

from mlmon_sidecar.aggregate.generations import Generations
from mlmon_sidecar.recorder.versions import OTHER_VERSION, Versions
from mlmon_sidecar.records import Distribution, Generated, Generation, GenerationEnd, Measurement

MAX_UNTOLD = 4_096  # generations whose log record is still to come; a row that is not kept has none
MAX_CONTENT = 4_096  # characters of a prompt or an answer in a log record, after redaction

Attribute = tuple[str, str | int | float | bool]


class GenerationBook:
    """Written by the recorder's thread; the figures are read by the exporter's.

    Args:
        logged: whether the prediction with this id becomes a log record.
        latest: the names of the newer conventions.
    """

    def __init__(self, logged: Callable[[str], bool] = lambda prediction_id: False, *, latest: bool = False) -> None:
        self._figures = Generations(latest=latest)
        self._system = "gen_ai.provider.name" if latest else "gen_ai.system"
        self._logged = logged
        self._untold: OrderedDict[str, Generation] = OrderedDict()

    def add(self, model: str, generated: Iterable[Generated], versions: Versions) -> None:
        """``versions``: those that are told apart."""
        for prediction_id, version, generation in generated:
            known = version if versions.known(model, version) else OTHER_VERSION
            self._figures.add(model, known, [generation])
            if generation.end is GenerationEnd.DONE and self._logged(prediction_id):
                self._untold[prediction_id] = generation
                if len(self._untold) > MAX_UNTOLD:
                    self._untold.popitem(last=False)

    def attributes(self, prediction_id: str, redact: Callable[[str], str]) -> Sequence[Attribute]:
        """For the log record of that prediction; once, and none where it was no language model's."""
        generation = self._untold.pop(prediction_id, None) if self._untold else None
        if generation is None:
            return ()
        first = generation.time_to_first_token_ns
        found: tuple[tuple[str, str | int | float | bool | None], ...] = (
            ("gen_ai.operation.name", generation.operation),
            (self._system, generation.system),
            ("gen_ai.request.model", redact(generation.request_model)),
            ("gen_ai.response.model", redact(generation.response_model)),
            ("gen_ai.response.id", redact(generation.response_id)),
            ("gen_ai.response.finish_reasons", ",".join(filter(None, generation.finish_reasons))),
            ("gen_ai.usage.input_tokens", generation.input_tokens),
            ("gen_ai.usage.output_tokens", generation.output_tokens),
            ("mlmon.tokens.estimated", generation.tokens_estimated),
            ("mlmon.time_to_first_token", None if first is None else first / 1e9),
            ("gen_ai.input.messages", _message("user", generation.input_text, redact)),
            ("gen_ai.output.messages", _message("assistant", generation.output_text, redact)),
        )
        return [(name, value) for name, value in found if value is not None and value != ""]

    def measurements(self) -> Sequence[Measurement | Distribution]:
        return self._figures.measurements()


def _message(role: str, text: str, redact: Callable[[str], str]) -> str:
    """One message in the form of the conventions, its text redacted first and cut then; "" for no text."""
    if not text:
        return ""
    content = redact(text)[:MAX_CONTENT].encode("utf-8", "replace").decode()
    return orjson.dumps([{"role": role, "parts": [{"type": "text", "content": content}]}]).decode()
