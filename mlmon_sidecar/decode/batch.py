"""A slice of exchanges to batches of columns, with every exchange accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from mlmon_sidecar.decode.columns import WRONG_WIDTH
from mlmon_sidecar.decode.exchange import decode_exchange
from mlmon_sidecar.decode.generation import Unfinished
from mlmon_sidecar.decode.options import UNVERSIONED, DecodeOptions
from mlmon_sidecar.decode.table import Table
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import Decoded, DropReason, Exchange, Generated, Generation
from mlmon_sidecar.telemetry import logger


@lru_cache(maxsize=1024)
def tell_unversioned(model: str) -> None:
    """Say once that predictions of this model name no version: a drift between two versions could not be told."""
    logger.warning(
        "mlmon: predictions of model %s name no version; set models.%s.version or model_version", model, model
    )


def decode(exchanges: Sequence[Exchange], options: DecodeOptions, unix_at: Callable[[int], int]) -> Decoded:
    """One batch or more for each version, in order of first sight. Never raises on what an exchange holds.

    Args:
        exchanges: of the one model ``options`` is for.
        options: how to read them.
        unix_at: Unix ns at a monotonic reading.

    Returns:
        ``exchanges + sum(dropped.values())`` is the number of exchanges given.
    """
    tables: dict[str, Table] = {}
    dropped: Counter[DropReason] = Counter()
    skipped: Counter[str] = Counter()
    generations: list[Generated] = []
    decoded = 0
    wrong_width: Counter[str] = Counter()
    left_out: Counter[str] = Counter()  # of one exchange
    for exchange in exchanges:
        try:
            result = decode_exchange(exchange, options, unix_at(exchange.started_ns), left_out)
        except DecodeError as error:
            dropped[DropReason(error.code)] += 1
            if isinstance(error, Unfinished):
                generations.append(_generated(exchange, error.generation, options))
        except Exception:  # a host's payload must never stop the recorder; the reason is counted
            dropped[DropReason.INTERNAL_ERROR] += 1
        else:
            tables.setdefault(result.version, Table()).add(result.rows)
            if result.generated is not None:
                generations.append(result.generated)
            if left_out:
                if WRONG_WIDTH in left_out:
                    wrong_width[result.version] += left_out.pop(WRONG_WIDTH)
                skipped.update(left_out)
            decoded += 1
        left_out.clear()
    if UNVERSIONED in tables:
        tell_unversioned(options.name)
    batches = [batch for version, table in tables.items() for batch in table.batches(version, options, skipped)]
    return Decoded(
        batches=batches,
        exchanges=decoded,
        dropped=dict(dropped),
        skipped=dict(skipped),
        generations=generations,
        wrong_width=dict(wrong_width),
    )


def _generated(exchange: Exchange, generation: Generation, options: DecodeOptions) -> Generated:
    said = isinstance(options.version, str) and options.version
    return Generated(
        exchange.prediction_id,
        options.constant_version if said else generation.response_model or options.constant_version,
        generation,
    )
