"""A slice of exchanges to batches of columns, with every exchange accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mlmon_sidecar.decode.exchange import decode_exchange
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.table import Table
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import Decoded, DropReason, Exchange, Generated


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
    for exchange in exchanges:
        left_out: Counter[str] = Counter()
        try:
            result = decode_exchange(exchange, options, unix_at(exchange.started_ns), left_out)
        except DecodeError as error:
            dropped[DropReason(error.code)] += 1
        except Exception:  # a host's payload must never stop the recorder; the reason is counted
            dropped[DropReason.INTERNAL_ERROR] += 1
        else:
            tables.setdefault(result.version, Table()).add(result.rows)
            if result.generated is not None:
                generations.append(result.generated)
            skipped.update(left_out)
            decoded += 1
    batches = [batch for version, table in tables.items() for batch in table.batches(version, options, skipped)]
    return Decoded(
        batches=batches, exchanges=decoded, dropped=dict(dropped), skipped=dict(skipped), generations=generations
    )
