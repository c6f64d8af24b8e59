"""A slice of exchanges to batches of columns, with every exchange accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from functools import lru_cache

from mlmon_sidecar.decode.alike import Run
from mlmon_sidecar.decode.columns import WRONG_WIDTH
from mlmon_sidecar.decode.exchange import decode_exchange, detection
from mlmon_sidecar.decode.generation import Unfinished
from mlmon_sidecar.decode.options import UNVERSIONED, DecodeOptions
from mlmon_sidecar.decode.table import Table
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.pieces import finished
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
    found = Slice(options, unix_at)
    for exchange in exchanges:
        found.add(exchange)
    return found.decoded()


class Slice:
    """Exchanges of one model, read one after the other, and columns at the end. Raises on nothing they hold."""

    def __init__(self, options: DecodeOptions, unix_at: Callable[[int], int]) -> None:
        self._options, self._unix_at = options, unix_at
        self._run = Run(options, detection())
        self._tables: dict[str, Table] = {}
        self._exchanges = 0  # that became rows
        self._dropped: Counter[DropReason] = Counter()
        self._skipped: Counter[str] = Counter()
        self._wrong_width: Counter[str] = Counter()
        self._generations: list[Generated] = []

    def add(self, exchange: Exchange) -> None:
        try:
            taken = self._run.take(exchange)
        except Exception:  # whatever it was, the usual way finds it too, and counts it
            taken = False
        if not taken:
            self._add_one(exchange)

    def decoded(self) -> Decoded:
        return finished(self.decoding())

    def decoding(self) -> Generator[None, None, Decoded]:
        """``decoded``, in pieces."""
        self._close_run()
        if UNVERSIONED in self._tables:
            tell_unversioned(self._options.name)
        batches = []
        for version, table in self._tables.items():
            for batch in table.batches(version, self._options, self._skipped):
                if batch is not None:
                    batches.append(batch)
                yield
        return Decoded(
            batches=batches,
            exchanges=self._exchanges,
            dropped=dict(self._dropped),
            skipped=dict(self._skipped),
            generations=self._generations,
            wrong_width=dict(self._wrong_width),
        )

    def _close_run(self) -> None:
        """Its rows come before those of what follows."""
        if not self._run:
            return
        left_out: Counter[str] = Counter()
        lot = self._run.close(self._unix_at, left_out)
        for version, rows in lot.rows.items():
            self._table(version).add(rows)
            self._exchanges += len(rows.prediction_ids)
        self._skipped.update(left_out)
        for exchange in lot.left:
            self._add_one(exchange)

    def _add_one(self, exchange: Exchange) -> None:
        left_out: Counter[str] = Counter()
        try:
            result = decode_exchange(exchange, self._options, self._unix_at(exchange.started_ns), left_out)
        except DecodeError as error:
            self._dropped[DropReason(error.code)] += 1
            if isinstance(error, Unfinished):
                self._generations.append(_generated(exchange, error.generation, self._options))
            return
        except Exception:  # a host's payload must never stop the recorder; the reason is counted
            self._dropped[DropReason.INTERNAL_ERROR] += 1
            return
        self._close_run()
        self._table(result.version).add(result.rows)
        self._exchanges += 1
        if result.generated is not None:
            self._generations.append(result.generated)
        if WRONG_WIDTH in left_out:
            self._wrong_width[result.version] += left_out.pop(WRONG_WIDTH)
        self._skipped.update(left_out)

    def _table(self, version: str) -> Table:
        return self._tables.setdefault(version, Table())


def _generated(exchange: Exchange, generation: Generation, options: DecodeOptions) -> Generated:
    said = isinstance(options.version, str) and options.version
    return Generated(
        exchange.prediction_id,
        options.constant_version if said else generation.response_model or options.constant_version,
        generation,
    )
