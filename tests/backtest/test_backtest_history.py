"""Files as history: bad lines cost themselves, rows are put in order, columns are found or asked for."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from backtest_parts import OPTIONS, REDACTOR, START, baseline, write

from mlmon_sidecar.backtest.history import NO_TIME, event_times, read_history
from mlmon_sidecar.backtest.labels import LabelBook, gains, last_day, read_labels
from mlmon_sidecar.backtest.panes import row_deltas
from mlmon_sidecar.backtest.tables import read_table
from mlmon_sidecar.baseline.document import Roles
from mlmon_sidecar.errors import BaselineError
from mlmon_sidecar.records import OutcomeCell

LAYOUT = baseline().layout
HEADER = "at,tx,amount,town,score\n"
DAY_NS = 86_400 * 10**9
FIRST_DAY = START // 86_400


def history(tmp_path: Path, text: str, said: Roles | None = None, name: str = "h.csv"):
    (tmp_path / name).write_text(text)
    return read_history(tmp_path / name, said or Roles(), baseline().roles, LAYOUT, OPTIONS)


def test_bad_lines_and_times_are_counted(tmp_path: Path) -> None:
    lines = ["2024-10-04T00:01:00Z,a,51.5,Bonn,0.5", "2024-10-04T00:02:00Z,b,52", "", "soon,c,53,Ulm,0.5"]
    read = history(tmp_path, HEADER + "\n".join(lines) + "\n")
    assert (read.bad_lines, read.bad_times, read.late, read.batch.aliases) == (1, 1, 0, ["a"])


def test_bad_json_lines_are_counted(tmp_path: Path) -> None:
    lines = ['{"at": 1728000000, "amount": 51.5, "town": "Bonn"}', "{", "[1]", '{"at": 1728000060, "town": "Ulm"}']
    read = history(tmp_path, "\n".join(lines), name="h.jsonl")
    assert (read.bad_lines, list(read.batch.features["amount"])) == (2, [51.5, None])
    assert read.batch.event_ns.tolist() == [1_728_000_000 * 10**9, 1_728_000_060 * 10**9]


def test_a_text_among_numbers_is_one_unusable_value(tmp_path: Path) -> None:
    rows = "".join(f"2024-10-04T00:0{at}:00Z,{at},{value},Bonn,0.5\n" for at, value in enumerate(["51", "?", "", "53"]))
    (delta,) = row_deltas(history(tmp_path, HEADER + rows).batch, LAYOUT, REDACTOR.category, 60)
    cells = LAYOUT.cells["amount"]
    assert [int(delta.vector[cells.bins].sum()), int(delta.vector[cells.invalid]), int(delta.vector[cells.null])] == [
        2,
        1,
        1,
    ]


def test_rows_are_put_in_order(tmp_path: Path) -> None:
    rows = [f"2024-10-04T00:0{minute}:00Z,t{minute},5{minute},Bonn,0.5\n" for minute in (2, 1, 3, 0)]
    read = history(tmp_path, HEADER + "".join(rows))
    assert (read.late, read.batch.aliases) == (2, ["t0", "t1", "t2", "t3"])
    assert list(read.batch.features["amount"]) == [50, 51, 52, 53]


def test_times_in_every_unit() -> None:
    seconds = 1_728_000_000
    forms = [seconds, seconds * 10**3, seconds * 10**6, seconds * 10**9, float(seconds), "2024-10-04T00:00:00+00:00"]
    assert event_times(forms).tolist() == [seconds * 10**9] * len(forms)
    assert event_times([None, "soon", True, float("nan"), [1], 10**30, 1e300]).tolist() == [NO_TIME] * 7


@pytest.mark.parametrize(
    ("text", "said", "code"),
    [
        ("tx,amount\na,1\n", Roles(), "timestamp_missing"),
        (HEADER + "x,a,1,Bonn,0.5\n", Roles(), "no_rows"),
        (HEADER, Roles(), "no_rows"),
        (HEADER, Roles(timestamp="when"), "column_missing"),
        ("", Roles(), "data_format"),
    ],
)
def test_what_cannot_be_replayed_says_why(tmp_path: Path, text: str, said: Roles, code: str) -> None:
    with pytest.raises(BaselineError) as caught:
        history(tmp_path, text, said)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


def test_what_is_not_in_the_data_is_told(tmp_path: Path) -> None:
    read = history(tmp_path, "at,amount\n2024-10-04T00:00:00Z,50\n")
    assert any(note.startswith("town: not in the data") for note in read.notes)
    assert any("no predictions" in note for note in read.notes)


def test_parquet_is_read_as_it_is(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"at": [1_728_000_000], "amount": [51.5]}), tmp_path / "h.parquet")
    assert read_table(tmp_path / "h.parquet").columns == {"at": [1_728_000_000], "amount": [51.5]}


def labelled(tmp_path: Path, lines: list[str], header: str = "tx,truth,observed_at"):
    """Labels of two predictions of one id, on days 0 and 1, and one of another."""
    rows = [(0, "a"), (1, "a"), (1, "b")]
    table = [{"at": START + day * 86_400, "tx": tx, "amount": 50, "town": "Ulm", "score": 0.9} for day, tx in rows]
    batch = read_history(write(tmp_path / "h.csv", table), Roles(), baseline().roles, LAYOUT, OPTIONS).batch
    (tmp_path / "l.csv").write_text("\n".join([header, *lines]) + "\n")
    return batch, read_labels(tmp_path / "l.csv", batch, Roles(), baseline().roles)


def moment(day: float) -> int:
    return int(START + day * 86_400)


def test_a_label_means_the_latest_prediction_before_it(tmp_path: Path) -> None:
    lines = [f"a,yes,{moment(0.5)}", f"a,no,{moment(3)}", f"b,no,{moment(0.5)}", "c,no,1", ",no,1", f"b,,{moment(2)}"]
    batch, read = labelled(tmp_path, lines)
    assert [(said.row, said.label) for said in read.said] == [(0, "yes"), (1, "no")]
    assert (read.unknown, read.bad) == (2, 2)
    assert [gain.cell for gain in gains(batch, read.said, REDACTOR)] == [
        OutcomeCell("v1", FIRST_DAY, 0, "yes", "yes", 1),
        OutcomeCell("v1", FIRST_DAY + 1, 2, "yes", "no", 1),
    ]


def test_a_correction_takes_the_earlier_label_back_when_it_is_known(tmp_path: Path) -> None:
    lines = [f"b,yes,{moment(1.5)}", f"b,yes,{moment(2)}", f"b,no,{moment(6.5)}"]
    batch, read = labelled(tmp_path, lines)
    known = gains(batch, read.said, REDACTOR)
    book, first = LabelBook(known), OutcomeCell("v1", FIRST_DAY + 1, 0, "yes", "yes", 1)
    assert book.unjudged(FIRST_DAY + 2) == []  # observed, but others of its age may still come
    assert book.unjudged(FIRST_DAY + 3) == [first]
    book.judge([first])
    assert book.unjudged(FIRST_DAY + 6) == []
    assert book.unjudged(FIRST_DAY + 7) == [first._replace(rows=-1)]
    assert set(book.unjudged(FIRST_DAY + 8)) == {
        OutcomeCell("v1", FIRST_DAY + 1, 5, "yes", "no", 1),
        first._replace(rows=-1),
    }
    assert last_day(known) == FIRST_DAY + 8


def test_labels_without_a_time_count_at_once(tmp_path: Path) -> None:
    batch, read = labelled(tmp_path, ["a,yes", "b,no"], header="id,label")
    assert [(said.row, said.observed_ns) for said in read.said] == [(1, batch.event_ns[1]), (2, batch.event_ns[2])]
    assert "known at once" in read.notes[0]


def test_labels_without_a_label_say_so(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="no column holds the label"):
        labelled(tmp_path, ["a,1"], header="id,observed_at")
