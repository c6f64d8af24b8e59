"""``Monitor``: for batch jobs, queues and gRPC servers, where no HTTP request passes a middleware."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from mlmon_sidecar.after_fork import abandon_in_children
from mlmon_sidecar.errors import ConfigError

if TYPE_CHECKING:
    from mlmon_sidecar.runtime.process import MonitoredProcess
    from mlmon_sidecar.runtime.worker import Worker


class Monitor:
    """``with Monitor("mlmon.toml") as monitor: monitor.observe("fraud", features=frame, predictions=p, times=t)``.

    Args:
        config: path of the file, instead of ``MLMON_CONFIG`` or ``./mlmon.toml``.
        strict: raise on the first fault of a batch. Otherwise a fault is counted and logged, and the job goes on.
        overrides: as in ``load_settings``: ``Monitor(store="sqlite:////var/lib/mlmon.db")``.

    Raises ``ConfigError`` for a wrong configuration, strict or not: a job has somebody who reads it.
    """

    def __init__(self, config: str | os.PathLike[str] | None = None, *, strict: bool = False, **overrides: Any) -> None:
        from mlmon_sidecar.runtime.process import MonitoredProcess  # loads numpy and pydantic: at start-up, not before

        self._strict = strict
        self._process: MonitoredProcess | None = MonitoredProcess.from_settings(
            None if config is None else os.fspath(config), overrides, requests=False
        )
        self._worker: Worker | None = None
        self._inherited: list[Worker | None] = []  # a parent's, never freed here: its connections are not ours to close
        self._starting = threading.Lock()
        abandon_in_children(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Make the recorder and find the hub. ``observe`` does it by itself."""
        with self._starting:
            if self._worker is None and self._process is not None:
                from mlmon_sidecar.runtime.worker import Worker

                self._process.pid = os.getpid()
                worker = Worker(self._process)
                for watched in self._process.watched:
                    worker.recorder.expect_event_times(watched.name)
                worker.start()
                self._worker = worker

    def abandon(self) -> None:
        """In a forked child: what was observed before is the parent's to hand over; the child begins anew."""
        self._starting = threading.Lock()
        self._inherited.append(self._worker)
        self._worker = None

    def observe(
        self,
        model: str,
        *,
        features: Any,
        predictions: Any = None,
        scores: Any = None,
        confidences: Any = None,
        ids: Sequence[str] | None = None,
        times: Any = None,
        version: str | None = None,
        segments: Sequence[str | None] | None = None,
    ) -> Sequence[str]:
        """Record rows that were predicted; each row is one observation of its own.

        Args:
            model: a configured model.
            features: (rows, ...) columns as a mapping of sequences, a list of dicts, a pandas frame or arrow table.
            predictions: (rows,) predicted classes, or numbers for regression.
            scores: (rows,) scores of the positive class.
            confidences: (rows,) in [0, 1].
            ids: (rows,) your own ids, by which labels may come.
            times: (rows,) event times: datetimes, numpy datetimes, Unix seconds or ns; default now. Feed them in
                order: a minute is sealed when a later one has been seen everywhere.
            version: model version; default as configured.
            segments: (rows,) values of the segment.

        Returns the minted prediction ids, (rows,).
        """
        if self._process is None:
            return []
        self.start()
        worker = self._worker
        assert worker is not None, "started above"
        try:
            return self._observe(
                worker,
                model,
                {
                    "features": features,
                    "predictions": predictions,
                    "scores": scores,
                    "confidences": confidences,
                    "ids": ids,
                    "times": times,
                    "segments": segments,
                },
                version,
            )
        except Exception as error:
            if self._strict:
                raise
            self._process.telemetry.failed("observe", error)
            return []

    def _observe(self, worker: Worker, model: str, columns: Mapping[str, Any], version: str | None) -> Sequence[str]:
        from mlmon_sidecar.decode.frames import batch_from_columns

        options = worker.decode_options.get(model)
        if options is None:
            raise ConfigError(
                f"model {model!r} is not configured",
                code="unknown_model",
                hint=f"Known are {', '.join(sorted(worker.decode_options))}.",
            )
        now_ns = worker.clock.unix_ns()
        batch = batch_from_columns(model, now_ns=now_ns, version=version, options=options, **columns)
        worker.recorder.observe(batch)
        return batch.prediction_ids

    def flush(self) -> bool:
        """Hand over what was observed so far. False: no hub answered; it is kept for the next time."""
        return self._worker is not None and self._worker.recorder.flush()

    def close(self) -> None:
        """Hand over the rest; where this process is the hub, seal what is complete."""
        if self._worker is not None and self._process is not None:
            self._worker.stop(self._process.stop_seconds)
            self._worker = None
