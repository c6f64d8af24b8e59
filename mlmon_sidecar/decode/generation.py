"""What language models' protocols have in common: a request that asks, an answer or a stream that tells, and figures.

One exchange is one row, however many choices the answer has: tokens, times and labels belong to the request. A stream
that was aborted or failed is no prediction; its figures are kept beside the rows (``Unfinished``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mlmon_sidecar.decode.event_stream import has_gap, is_event_stream
from mlmon_sidecar.decode.loose_json import MAX_NAME, name_of
from mlmon_sidecar.decode.options import INPUT_TEXT, OUTPUT_TEXT
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import DropReason, End, Exchange, Generation, GenerationEnd

EMBEDDINGS: Final = "embeddings"
BYTES_PER_TOKEN = 4  # of UTF-8, about, in the tokenizers of today; used where no usage is told
MAX_TEXT = 65_536  # characters of a prompt or an answer that are held
MAX_CHOICES = 128
MAX_ID = 1024  # characters of a response's id; never cut, for half an id is another's
INCOMPLETE: Final = "incomplete_stream"  # error type of a stream that ended without saying so
LENGTH_REASONS = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})


class Unfinished(DecodeError):
    """No prediction, and yet a generation: aborted, failed, or answered with an error status."""

    def __init__(self, code: str, generation: Generation) -> None:
        super().__init__("the generation was not finished", code=code)
        self.generation = generation


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Attributes:
        operation, system, model: as in ``Generation``.
        features: figures of the request, by column name.
        text_bytes: UTF-8 length of the prompt; None where it is not text.
        text: the prompt where it is wanted.
    """

    operation: str
    system: str
    model: str = ""
    features: Mapping[str, object] = field(default_factory=dict)
    text_bytes: int | None = None
    text: str = ""


class Told:
    """What an answer has told so far. Filled by one decoder, event by event; ``chunk`` is where an event came."""

    def __init__(self, unasked: Asked, *, streamed: bool, keep_text: bool = False) -> None:
        self.unasked = unasked  # what stands for a request that was read by no language model's decoder
        self.streamed = streamed
        self.id = self.model = self.error_type = ""
        self.done = False
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.finish_reasons: dict[int, str] = {}  # by choice
        self.choices: set[int] = set()
        self.chars = self.content_bytes = 0
        self.calls: set[tuple[int, int | str]] = set()
        self.refused = False
        self.first_chunk: int | None = None  # the one with the first content
        self.logprobs: list[float] = []
        self._keep = keep_text
        self._texts: dict[int, list[str]] = {}
        self._kept = 0

    def named(self, document: Mapping[str, Any]) -> None:
        """The first id and model count: some servers give every chunk an id of its own."""
        found = document.get("id")
        if not self.id and isinstance(found, str) and len(found) <= MAX_ID:
            self.id = found
        self.model = self.model or name_of(document.get("model"))

    def choice(self, index: object) -> int:
        """The number of a choice, bounded: what a server numbers beyond is folded into the last."""
        number = index if isinstance(index, int) and 0 <= index < MAX_CHOICES else 0
        self.choices.add(number)
        return number

    def text(self, choice: int, text: object, chunk: int) -> None:
        """A piece of the answer's text."""
        if isinstance(text, str) and text:
            self.chars += len(text)
            self._content(text, chunk)
            if self._keep and self._kept < MAX_TEXT:
                self._texts.setdefault(choice, []).append(text)
                self._kept += len(text)

    def thought(self, text: object, chunk: int) -> None:
        """A piece of reasoning: it costs tokens and time, and is no part of the answer."""
        if isinstance(text, str) and text:
            self._content(text, chunk)

    def refusal(self, text: object, chunk: int) -> None:
        if isinstance(text, str) and text:
            self.refused = True
            self._content(text, chunk)

    def call(self, choice: int, number: int | str, arguments: object, chunk: int) -> None:
        """A tool call, or a piece of one that began before under the same ``number``."""
        if len(self.calls) < MAX_CHOICES:
            self.calls.add((choice, number))
        self._content(arguments if isinstance(arguments, str) else "", chunk)

    def finished(self, choice: int, reason: object) -> None:
        if isinstance(reason, str) and reason:
            self.finish_reasons[choice] = reason[:MAX_NAME]

    def usage(self, usage: object, asked: str, answered: str) -> None:
        """Totals of tokens, under the names they have in this protocol; the last ones count."""
        if isinstance(usage, Mapping):
            self.input_tokens = _count(usage.get(asked), self.input_tokens)
            self.output_tokens = _count(usage.get(answered), self.output_tokens)

    def failed(self, error: object, kind: object = None) -> None:
        """An error in place of, or in the middle of, an answer; ``kind`` where it is told beside it."""
        said = error if isinstance(error, Mapping) else {}
        self.error_type = name_of(kind) or name_of(said.get("type")) or name_of(said.get("code")) or "error"

    @property
    def said_anything(self) -> bool:
        return bool(self.choices or self.finish_reasons or self.calls or self.chars or self.refused or self.error_type)

    @property
    def reason(self) -> str | None:
        """The first choice's finish reason; None where it has none."""
        return self.finish_reasons.get(min(self.finish_reasons)) if self.finish_reasons else None

    @property
    def confidence(self) -> float:
        """exp of the mean log probability of the answer's tokens; NaN where none are told."""
        if not self.logprobs:
            return math.nan
        return min(1.0, math.exp(min(0.0, sum(self.logprobs) / len(self.logprobs))))

    @property
    def output_text(self) -> str:
        return "\n".join("".join(self._texts[choice]) for choice in sorted(self._texts))[:MAX_TEXT]

    def logprob(self, value: object) -> None:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            self.logprobs.append(float(value))

    def _content(self, text: str, chunk: int) -> None:
        self.content_bytes += len(text.encode("utf-8", "surrogatepass"))
        if self.first_chunk is None:
            self.first_chunk = chunk


def finished(exchange: Exchange, asked: Asked | None, told: Told) -> Generation:
    """Both sides of an exchange that ended well. Raises ``Unfinished`` where the answer did not."""
    generation = generation_of(exchange, asked or told.unasked, told)
    if generation.end is GenerationEnd.DONE:
        return generation
    code = DropReason.BODY_CUT_OFF if generation.error_type == INCOMPLETE else DropReason.NOT_A_PREDICTION
    raise Unfinished(code, generation)


def unfinished(exchange: Exchange, cause: DecodeError, asked: Asked | None, told: Told | None) -> DecodeError:
    """``cause`` with the figures of what arrived before it, where a side was a language model's."""
    if told is None and asked is not None:
        told = Told(asked, streamed=is_event_stream(exchange))
    return cause if told is None else Unfinished(cause.code, generation_of(exchange, asked or told.unasked, told))


def generation_of(exchange: Exchange, asked: Asked, told: Told) -> Generation:
    """Both sides of one exchange and its times as figures."""
    end, error_type = _end(exchange, told)
    partial = told.streamed and has_gap(exchange)
    reasons = tuple(told.finish_reasons.get(choice, "") for choice in sorted(told.choices))
    input_tokens, output_tokens = told.input_tokens, told.output_tokens
    estimated = output_tokens is None and (asked.operation != EMBEDDINGS or input_tokens is None)
    if estimated:
        input_tokens = _estimate(asked.text_bytes) if input_tokens is None else input_tokens
        output_tokens = None if partial or asked.operation == EMBEDDINGS else _estimate(told.content_bytes)
    first = _first_token_ns(exchange, told)
    return Generation(
        operation=asked.operation,
        system=asked.system,
        request_model=asked.model,
        response_model=told.model,
        response_id=told.id,
        end=end,
        error_type=error_type,
        streamed=told.streamed,
        duration_ns=exchange.ended_ns - exchange.started_ns,
        choices=len(told.choices),
        finish_reasons=reasons,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        tokens_estimated=estimated,
        time_to_first_token_ns=None if first is None else first - exchange.started_ns,
        time_per_output_token_ns=_per_token_ns(exchange, end, first, output_tokens),
        output_chars=told.chars,
        tool_calls=len(told.calls),
        refusal=told.refused,
        empty=asked.operation != EMBEDDINGS and not (told.chars or told.calls or told.refused or partial),
        truncated=not LENGTH_REASONS.isdisjoint(reasons),
        partial=partial,
        input_text=asked.text,
        output_text=told.output_text,
    )


def answer_size(exchange: Exchange, told: Told) -> float:
    """Bytes of everything that was generated, which is the row's score: answers differ in it that end alike.

    Of a stream that was not kept whole it is reckoned from the tokens; NaN where they are not told.
    """
    if not has_gap(exchange):
        return float(told.content_bytes)
    return math.nan if told.output_tokens is None else float(told.output_tokens * BYTES_PER_TOKEN)


def generation_columns(generation: Generation, rows: int, wanted: frozenset[str]) -> dict[str, list[object]]:
    """Figures of a finished generation as columns of its row. ``wanted``: text columns that are configured."""
    if generation.operation == EMBEDDINGS:  # many rows, and the tokens of none by itself
        return {}
    first, each = generation.time_to_first_token_ns, generation.time_per_output_token_ns
    columns: dict[str, object] = {
        "input.tokens": generation.input_tokens,
        "output.tokens": generation.output_tokens,
        "tokens_estimated": generation.tokens_estimated,
        "output.chars": None if generation.partial else generation.output_chars,
        "finish_reason": next(iter(generation.finish_reasons), "") or None,
        "time_to_first_token_ms": None if first is None else first / 1e6,
        "time_per_output_token_ms": None if each is None else each / 1e6,
        "tool_calls": generation.tool_calls,
        "refusal": generation.refusal,
        "empty": generation.empty,
        "truncated": generation.truncated,
    }
    texts = {INPUT_TEXT: generation.input_text, OUTPUT_TEXT: generation.output_text}
    columns |= {name: text for name, text in texts.items() if name in wanted}
    return {name: [value] * rows for name, value in columns.items()}


def _end(exchange: Exchange, told: Told) -> tuple[GenerationEnd, str]:
    if exchange.end is End.DISCONNECT:
        return GenerationEnd.ABORT, ""
    if exchange.end is End.ERROR:
        return GenerationEnd.ERROR, exchange.error_type or "application_error"
    if not 200 <= exchange.status < 300:
        return GenerationEnd.ERROR, str(exchange.status)
    if told.error_type:
        return GenerationEnd.ERROR, told.error_type
    if told.streamed and not told.done and not told.finish_reasons:
        return GenerationEnd.ERROR, INCOMPLETE
    return GenerationEnd.DONE, ""


def _first_token_ns(exchange: Exchange, told: Told) -> int | None:
    """Monotonic; None beyond the chunks whose times are kept."""
    at = told.first_chunk
    if not told.streamed or at is None or not 0 <= at < len(exchange.chunk_ns):
        return None
    return exchange.chunk_ns[at]


def _per_token_ns(exchange: Exchange, end: GenerationEnd, first: int | None, tokens: int | None) -> float | None:
    if end is not GenerationEnd.DONE or first is None or tokens is None or tokens < 2:
        return None
    return (exchange.ended_ns - first) / (tokens - 1)


def _estimate(text_bytes: int | None) -> int | None:
    return None if text_bytes is None else -(-text_bytes // BYTES_PER_TOKEN)


def _count(value: object, before: int | None) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else before
