"""How long a prompt is, and the prompt itself where it is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlmon_sidecar.decode.generation import MAX_TEXT


class PromptFigures(NamedTuple):
    chars: int
    size: int  # bytes of UTF-8
    text: str


def prompt_figures(texts: Sequence[str], *, keep_text: bool) -> PromptFigures:
    """``text`` holds at most ``MAX_TEXT`` characters, one part a line; "" unless ``keep_text``."""
    return PromptFigures(
        sum(map(len, texts)),
        sum(len(text.encode("utf-8", "surrogatepass")) for text in texts),
        "\n".join(texts)[:MAX_TEXT] if keep_text else "",
    )
