"""Every extension point on one screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from mlmon_sidecar.records import (
    BaselineOrder,
    Erased,
    Event,
    Finding,
    Flush,
    FlushReceipt,
    HeldBaseline,
    Incident,
    Label,
    LabelReceipt,
)

if TYPE_CHECKING:
    from mlmon_sidecar.records import Distribution, Measurement


class Clock(Protocol):
    """Time, injected. Production time is the machine's; tests and the demo bring their own."""

    def monotonic_ns(self) -> int:
        """Never goes back; only differences mean anything."""

    def unix_ns(self) -> int:
        """Event time now, Unix ns."""

    def unix_at(self, monotonic_ns: int) -> int:
        """Event time, Unix ns, at a monotonic reading taken in this process."""


TextbookRule = Literal[
    "ks_p_value", "mean_shift_2sd", "null_rate_doubled", "prediction_mean_shift_2sd", "confidence_floor",
    "identical_predictions", "centroid_cosine",
]  # fmt: skip
"""Rules of ``checks.textbook``."""

DECODER_NAMES = (
    "openai_chat", "openai_completions", "openai_responses", "openai_embeddings", "tgi", "open_inference", "vertex",
    "sagemaker", "mlflow", "kserve_v1", "csv", "json_lines", "multipart", "form", "npy", "bentoml", "json", "binary",
)  # fmt: skip
"""What settings call the decoders of ``decode.DECODERS``, in its order; here, for settings load none of them."""


class Decoder(Protocol):
    """One wire protocol, each side of an exchange by itself. Keeps no state. Its records are in ``decode.sides``.

    ``claims`` never raises. The others raise ``DecodeError``, whose code is a ``DropReason``, for a body they cannot
    read; rows that cannot be read are named as bad where the others can.
    """

    name: str

    def claims(self, side: Any, direction: Any) -> str:
        """Why this body is in this protocol, as people read it; "" where it is not. Looks only as deep as it must."""

    def request(self, side: Any, options: Any) -> Any:
        """A ``Side`` and ``DecodeOptions`` to ``RequestRows``."""

    def response(self, side: Any, options: Any, rows: int) -> Any:
        """``Answers`` with one prediction for each of the request's ``rows``."""


class Check(Protocol):
    """One statement about a model, from integers alone."""

    name: str

    def evaluate(self, context: Any) -> Sequence[Finding]:
        """Findings now. Pure: no I/O and no clock."""


class HubClient(Protocol):
    """How a serving process reaches the hub, wherever it runs. Every call may raise ``HubUnavailable``."""

    def flush(self, flush: Flush) -> FlushReceipt:
        """Hand over one flush. Safe to repeat: a number is committed once."""

    def labels(self, labels: Sequence[Label], key: str = "") -> Sequence[LabelReceipt]:
        """Commit labels durably; receipts in the order given. ``key``: of a request that may come again, or ""."""

    def query(self, path: str, params: Mapping[str, str]) -> bytes:
        """Read-only JSON for the page and the status API: ``status``, ``series``, ``incidents``,
        ``baselines``, ``baseline``."""

    def erase(self, ids: Sequence[str], aliases: Sequence[str]) -> Erased:
        """Take kept predictions, rows of batches included, and their labels out of the store, beyond recovery."""

    def baseline(self, order: BaselineOrder) -> HeldBaseline:
        """Take a baseline in, approve or reject it. Raises ``BaselineError`` for one that cannot be used."""

    def close(self) -> None: ...


class Notifier(Protocol):
    """Where incidents are told. Delivery is at least once; ``key`` of the incident deduplicates."""

    name: str

    def notify(self, incident: Incident, transition: str) -> None:
        """``transition``: "opened", "raised" or "resolved"."""


class Telling(Protocol):
    """Where figures and events go. The OpenTelemetry exporter is one."""

    def event(self, event: Event) -> None: ...


Source = Callable[[], "Sequence[Measurement | Distribution]"]
"""Called at each export for the current figures of one part."""
