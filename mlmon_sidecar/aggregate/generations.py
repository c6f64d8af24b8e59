"""What language models took and gave, summed up as the ``gen_ai.*`` figures of the OpenTelemetry conventions.

Buckets are those the conventions name: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
Estimated numbers of tokens stay out of ``gen_ai.client.token.usage``: the conventions ask for counted ones alone.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

from mlmon_sidecar.records import Distribution, Generation, GenerationEnd, Measurement

DURATION_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)  # s
FIRST_TOKEN_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)  # s
PER_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)  # s
TOKEN_BOUNDS = tuple(float(4**power) for power in range(14))  # 1 .. 67,108,864 tokens

FINISH_REASONS = frozenset(
    {
        "stop", "length", "tool_calls", "function_call", "content_filter",  # OpenAI
        "completed", "max_output_tokens", "incomplete", "failed", "cancelled",  # OpenAI responses
        "eos_token", "stop_sequence",  # Text Generation Inference
    }
)  # fmt: skip
MAX_NAMES = 8  # distinct (request model, response model) of one monitored model; a client may send any name
MAX_ERRORS = 16  # distinct error types
OTHER = "_other"
LATEST = "gen_ai_latest_experimental"  # in OTEL_SEMCONV_STABILITY_OPT_IN: names the newer conventions use

Attributes = tuple[tuple[str, str], ...]


class Generations:
    """Cumulative since the process started. Written by the recorder's thread, read by the exporter's."""

    def __init__(self, *, latest: bool = False) -> None:
        self._system = "gen_ai.provider.name" if latest else "gen_ai.system"
        self._lock = threading.Lock()
        self._histograms: dict[tuple[str, Attributes], _Histogram] = {}
        self._finishes: Counter[Attributes] = Counter()
        self._names: dict[str, set[tuple[str, str]]] = {}
        self._errors: set[str] = set()

    def add(self, model: str, version: str, generations: Iterable[Generation]) -> None:
        """Generations of the monitored ``model``."""
        with self._lock:
            for generation in generations:
                self._add(model, version, generation)

    def measurements(self) -> Sequence[Measurement | Distribution]:
        with self._lock:
            distributions = [
                Distribution(name, histogram.bounds, tuple(histogram.counts), histogram.total, attributes)
                for (name, attributes), histogram in self._histograms.items()
            ]
            finishes = [Measurement("mlmon.llm.finish", count, who) for who, count in self._finishes.items()]
        return [*distributions, *finishes]

    def _add(self, model: str, version: str, generation: Generation) -> None:
        who = self._who(model, generation)
        error = self._error(generation)
        failed = (("error.type", error),) if error else ()
        self._observe("gen_ai.server.request.duration", DURATION_BOUNDS, generation.duration_ns / 1e9, who + failed)
        if not error:
            first, each = generation.time_to_first_token_ns, generation.time_per_output_token_ns
            self._observe("gen_ai.server.time_to_first_token", FIRST_TOKEN_BOUNDS, first and first / 1e9, who)
            self._observe("gen_ai.server.time_per_output_token", PER_TOKEN_BOUNDS, each and each / 1e9, who)
        if not generation.tokens_estimated:
            for kind, tokens in (("input", generation.input_tokens), ("output", generation.output_tokens)):
                typed = (*who, ("gen_ai.token.type", kind))
                self._observe("gen_ai.client.token.usage", TOKEN_BOUNDS, tokens, typed)
        for reason in _reasons(generation):
            named = (("mlmon.model.name", model), ("mlmon.model.version", version), ("mlmon.finish.reason", reason))
            self._finishes[named] += 1

    def _who(self, model: str, generation: Generation) -> Attributes:
        names = (generation.request_model, generation.response_model)
        known = self._names.setdefault(model, set())
        if names not in known:
            if len(known) < MAX_NAMES:
                known.add(names)
            else:
                names = (OTHER, OTHER)
        asked, answered = names
        pairs = (
            ("gen_ai.operation.name", generation.operation),
            (self._system, generation.system),
            ("gen_ai.request.model", asked),
            ("gen_ai.response.model", answered),
            ("mlmon.model.name", model),
        )
        return tuple(pair for pair in pairs if pair[1])

    def _error(self, generation: Generation) -> str:
        """``error.type``; an abort is one too, as the conventions have it: the operation did not succeed."""
        if generation.end is not GenerationEnd.ERROR:
            return "" if generation.end is GenerationEnd.DONE else GenerationEnd.ABORT.value
        if generation.error_type not in self._errors and len(self._errors) >= MAX_ERRORS:
            return OTHER
        self._errors.add(generation.error_type)
        return generation.error_type or OTHER

    def _observe(self, name: str, bounds: tuple[float, ...], value: float | None, attributes: Attributes) -> None:
        if value is None:
            return
        histogram = self._histograms.get((name, attributes))
        if histogram is None:
            histogram = self._histograms[name, attributes] = _Histogram(bounds)
        histogram.counts[bisect_left(bounds, value)] += 1  # a bucket holds its upper bound
        histogram.total += value


class _Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0


def _reasons(generation: Generation) -> list[str]:
    """One a choice; how a generation ended that was not finished."""
    if generation.end is not GenerationEnd.DONE:
        return [generation.end.value]
    return [reason if reason in FINISH_REASONS else OTHER for reason in generation.finish_reasons if reason]
