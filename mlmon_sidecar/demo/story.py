"""The demo from beginning to end: train, build the baseline, serve, replay, watch, and sum up."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import orjson

from mlmon_sidecar.demo import monitor
from mlmon_sidecar.demo.background import Repeated
from mlmon_sidecar.demo.data import Loans, Row, load
from mlmon_sidecar.demo.labels import LabelDesk
from mlmon_sidecar.demo.model import LoanModel
from mlmon_sidecar.demo.narrate import Narrator, Watcher, export_line, phase_line
from mlmon_sidecar.demo.phases import PHASES, ROWS_PER_DAY, TOTAL_DAYS, Phase, assign, ordinary_days
from mlmon_sidecar.demo.process import Server, choose_port
from mlmon_sidecar.demo.replay import Replay, set_fault
from mlmon_sidecar.demo.schedule import CLOCK_SCALE, LABEL_DELAY_DAYS, QUIET, Calendar, Period, moments, played
from mlmon_sidecar.demo.summary import Summary, labelled_total, period_quality, summarise
from mlmon_sidecar.errors import MlmonError

START_DAYS = 10  # kept free before today for building the baseline and starting the server: 25 s
LATE_DAYS = 10  # kept free as well, for days that a busy machine leaves out
LOOK_DAYS = 480  # kept free as well when nobody said --once: 20 minutes of looking before the calendar meets today
WATCH_SECONDS = 0.5
LABEL_SECONDS = 1.25  # labels go out in bulk, twice a scaled day
SETTLE_SECONDS = 12.0  # the last labels are due after two days (5 s), then the last minutes are sealed
BEAT_SECONDS = 0.25


def main(once: bool, as_json: bool, port: int | None, keep: Path | None) -> int:
    """Play the story. Returns 0 when it was played through, whatever it showed.

    ``once``: end with the summary instead of serving on until Ctrl-C. ``as_json``: the summary is one JSON object on
    stdout, everything else goes to stderr. ``port``: None takes any free one. ``keep``: directory for settings,
    baseline, store and log; None uses a temporary one. Raises ``MlmonError``.
    """
    narrator = Narrator(sys.stderr if as_json else sys.stdout)
    with _directory(keep) as directory, ExitStack() as cleanup:
        story = Story(monitor.Files(directory), choose_port(port), narrator, cleanup, looking=not once)
        summary = story.play()
        if as_json:
            sys.stdout.write(orjson.dumps(summary, option=orjson.OPT_INDENT_2).decode() + "\n")
            sys.stdout.flush()
        else:
            _tell(summary, narrator)
        if not once:
            story.play_on()
    return 0


class Story:
    """One run. ``play`` once, then perhaps ``play_on``."""

    def __init__(
        self, files: monitor.Files, port: int, narrator: Narrator, cleanup: ExitStack, *, looking: bool
    ) -> None:
        self._files = files
        self._port = port
        self._say = narrator.say
        self._cleanup = cleanup
        self._loans = load()
        days = TOTAL_DAYS + START_DAYS + LATE_DAYS + (LOOK_DAYS if looking else 0)
        self._calendar = Calendar.plan(time.time(), days)
        self._client = monitor.MonitorClient(port, files)
        cleanup.callback(self._client.close)
        self._desk = LabelDesk(lambda known: self._client.send_labels(known, self._loans.labels), self._now)
        self._replay = Replay(port, self._calendar, self._desk.answered)

    def play(self) -> Summary:
        """Every phase, until what was sent is sealed and every incident is resolved or the patience ends."""
        begun = time.monotonic()
        self._prepare()
        self._serve()
        periods = [self._phase(phase, rows) for phase, rows in _cast(self._loans)]
        self._settle()
        summary = self._summary(periods)
        self._say(f"Played in {time.monotonic() - begun:.0f} s.")
        return summary

    def play_on(self) -> None:
        """Ordinary traffic until Ctrl-C."""
        self._say(f"\nOrdinary traffic goes on. The page: {self._client.page_url}\nCtrl-C ends it.")
        try:
            for rows in ordinary_days(self._loans):
                self._play_day(rows)
        except KeyboardInterrupt:
            self._say("\nStopping the server.")

    def _prepare(self) -> None:
        self._say("Training a model on 8,000 car loans ...")
        model = LoanModel.train(self._loans)
        monitor.write_settings(self._files, self._calendar)
        rows = monitor.write_reference(self._files, self._calendar, self._loans, model)
        self._say(f"$ mlmon {' '.join(monitor.build_command(self._files))}")
        monitor.build_baseline(self._files)
        self._say(f"Baseline built from {rows:,} rows the model has not seen.")

    def _serve(self) -> None:
        server = self._cleanup.enter_context(Server(self._port, self._files.settings, self._files.server_log))
        server.wait_ready()
        self._say(f"Serving on http://127.0.0.1:{self._port}, monitored by the middleware in its process.")
        self._say(f"The page: {self._client.page_url}")
        self._client.wait_for_hub()
        self._say(export_line(self._client.status()["export"]))
        self._say("Payload content exported: none")
        self._say(f"One day of scaled time takes {86_400 / CLOCK_SCALE:.1f} s. Labels come one to two days late.\n")
        watcher = Watcher(self._client.incidents, self._say)
        self._cleanup.enter_context(Repeated("watch", watcher.look, WATCH_SECONDS, self._say))
        self._cleanup.enter_context(Repeated("labels", self._desk.send_known, LABEL_SECONDS, self._say))

    def _phase(self, phase: Phase, rows: tuple[Row, ...]) -> Period:
        """Play one phase from the next free midnight on; its fault begins and ends between two rows.

        Each of its days begins at a free midnight: a machine that is too busy to keep up leaves days out, and none has
        more or fewer rows than it should.
        """
        set_fault(self._port, phase.stuck_at)
        first_day = self._free_day()
        self._say(phase_line(phase, self._calendar, first_day))
        for start in range(0, len(rows), ROWS_PER_DAY):
            self._play_day(rows[start : start + ROWS_PER_DAY])
        return played(phase, first_day, self._free_day())

    def _play_day(self, rows: Sequence[Row]) -> None:
        day = self._free_day()
        self._replay.play(rows, moments(self._calendar.midnight(day), len(rows)))

    def _free_day(self) -> int:
        return self._calendar.free_day(time.time(), self._desk.last_sent)

    def _settle(self) -> None:
        """Wait until the monitor has seen everything, as long as that takes within reason."""
        self._say("\nWaiting for the last labels and the last minutes to be sealed ...")
        labels_due = time.time() + LABEL_DELAY_DAYS[1] * 86_400 / CLOCK_SCALE
        deadline = labels_due + SETTLE_SECONDS
        while not (self._desk.all_sent and self._sealed()):
            if time.time() > deadline:
                self._say("  (it takes longer than expected; summing up what is there)")
                return
            time.sleep(BEAT_SECONDS)

    def _sealed(self) -> bool:
        """Everything that was sent counted and sealed, all labels joined, every incident resolved.

        The watermark is the minute of the last request, not the present one, and only near to the minute in which the
        replay sent it: a scaled minute is about 2 ms, which two processes' clocks may well differ by.
        """
        through = self._desk.last_sent - QUIET
        try:
            status = self._client.status()
            counters = status["counters"]
            return (
                counters["captured"] + sum(counters["dropped"].values()) >= self._desk.requests
                and all((model["watermark_minute"] or 0) >= through // 60 for model in status["models"])
                and all(incident["resolved_ms"] is not None for incident in self._client.incidents())
                and labelled_total(self._calendar, self._daily("labelled")) >= self._desk.requests
            )
        except MlmonError:
            return False  # The next look may find it; the deadline is the caller's.

    def _summary(self, periods: list[Period]) -> Summary:
        labelled = self._daily("labelled")
        quality = period_quality(
            self._calendar, periods, labelled, self._daily("accuracy"), self._daily("accuracy_estimated")
        )
        status = self._client.status()
        self._say(export_line(status["export"]))
        return summarise(
            self._desk.requests, status["counters"], self._client.incidents(), quality,
            labelled_total(self._calendar, labelled), self._calendar, periods,
        )  # fmt: skip

    def _daily(self, name: str) -> dict[int, float | None]:
        return dict(self._client.daily(name, self._calendar.start))

    def _now(self) -> float:
        return self._calendar.scaled(time.time())


def _cast(loans: Loans) -> Iterator[tuple[Phase, tuple[Row, ...]]]:
    rows = assign(loans)
    return ((phase, rows[phase.name]) for phase in PHASES)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """The kept directory, or a temporary one. A store of an earlier run is not continued: its calendar was another."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="mlmon-demo-") as name:
            yield Path(name)
        return
    directory = keep.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if monitor.Files(directory).store.exists():
        raise MlmonError(
            f"{directory} holds the store of an earlier run",
            code="store_exists",
            hint="Give an empty directory with --keep, or remove the old one.",
        )
    yield directory


def _tell(summary: Summary, narrator: Narrator) -> None:
    dropped = sum(summary["dropped"].values())
    narrator.say(
        f"\n{summary['requests']:,} requests: {summary['captured']:,} captured, {dropped:,} dropped; "
        f"labels for {summary['label_coverage']:.1%}"
    )
    for alert in summary["alerts"]:
        ended = f"resolved {alert['resolved']}" if alert["resolved"] else "still open"
        columns = f" ({', '.join(alert['features'])})" if alert["features"] else ""
        narrator.say(f"  {alert['period']:<11} {alert['tier']} {alert['rule']}{columns}: {ended}")
    narrator.say("  accuracy by period, estimated without labels and realised:")
    for quality in summary["quality"]:
        narrator.say(f"  {quality['period']:<11} {_ratio(quality['estimated'])}  {_ratio(quality['realised'])}")


def _ratio(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"
