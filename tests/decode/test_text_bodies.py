"""CSV, JSON Lines, forms and multipart: what is written comes back typed; broken parts cost only themselves."""

import csv
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmon_sidecar.decode import DECODERS
from mlmon_sidecar.decode.batch import decode
from mlmon_sidecar.decode.options import DecodeOptions
from mlmon_sidecar.decode.sides import Answers, Direction, RequestRows, Side
from mlmon_sidecar.decode.text_cells import typed
from mlmon_sidecar.errors import DecodeError
from mlmon_sidecar.records import Exchange

Make = Callable[..., Exchange]
Read = Callable[..., RequestRows]
OPTIONS = DecodeOptions("m")
LINES = "application/jsonlines"
FORM = "application/x-www-form-urlencoded"
BOUNDARY = "multipart/form-data; boundary=frontier"


def headers(content_type: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"content-type", content_type.encode()),)


@pytest.fixture(name="read", scope="session")
def _read(exchange: Make) -> Read:
    def one(body: bytes | str, content_type: str, options: DecodeOptions = OPTIONS) -> RequestRows:
        raw = body if isinstance(body, bytes) else body.encode()
        side = Side.of(exchange(raw, {}, request_headers=headers(content_type)), Direction.REQUEST)
        decoder = next(known for known in DECODERS.values() if known.claims(side, Direction.REQUEST))
        assert decoder.name != "json"
        found: RequestRows = decoder.request(side, options)
        return found

    return one


@pytest.fixture(name="answer", scope="session")
def _answer(exchange: Make) -> Callable[..., Answers]:
    def one(body: str, content_type: str, rows: int) -> Answers:
        side = Side.of(exchange({}, body.encode(), response_headers=headers(content_type)), Direction.RESPONSE)
        decoder = next(known for known in DECODERS.values() if known.claims(side, Direction.RESPONSE))
        found: Answers = decoder.response(side, OPTIONS, rows)
        return found

    return one


def scores(answers: Answers) -> list[float]:
    assert answers.outputs is not None
    return list(answers.outputs.score)


class TestCells:
    @pytest.mark.parametrize(
        ("cells", "want"),
        [
            (["1", "-2", " 3 "], [1, -2, 3]),
            (["1", "2.5", "1e3", ".5", "5."], [1.0, 2.5, 1000.0, 0.5, 5.0]),
            (["true", "False", ""], [True, False, None]),
            (["01234", "56789"], ["01234", "56789"]),
            (["NA", "DE", ""], ["NA", "DE", None]),
            (["NA", "1", "nan", "null"], [None, 1, None, None]),
            (["1,5", "2"], ["1,5", "2"]),
            (["9" * 18, "1"], [int("9" * 18), 1]),
            (["9" * 30, "1"], [1e30, 1.0]),
            (["1" * 5000], ["1" * 5000]),
            (["٣"], ["٣"]),
            (["1_000"], ["1_000"]),
        ],
    )
    def test_a_column_has_one_type(self, cells: list[str], want: list[Any]) -> None:
        found = typed(cells)
        assert found == want
        assert list(map(type, found)) == list(map(type, want))

    @given(st.lists(st.text("01259+-.e", max_size=6) | st.sampled_from(["", "nan", "true"]), min_size=1, max_size=6))
    def test_at_once_or_one_by_one_is_the_same(self, cells: list[str]) -> None:
        """A space before a cell makes the whole column take the slow way."""
        assert typed(cells) == [
            cell.strip() or None if isinstance(cell, str) else cell for cell in typed([" " + cell for cell in cells])
        ]


NAMES = st.lists(st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True), min_size=1, max_size=5, unique=True)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Nd")), min_size=1).map(lambda text: f"«{text}»")
INTS = st.integers(-(10**17), 10**17)


class TestCsv:
    @given(st.data(), NAMES, st.integers(1, 6))
    def test_round_trip(self, read: Read, data: st.DataObject, names: list[str], count: int) -> None:
        kinds = [FLOATS, *[data.draw(st.sampled_from([FLOATS, INTS, TEXTS, st.booleans()])) for _ in names[1:]]]
        columns = [data.draw(st.lists(kind, min_size=count, max_size=count)) for kind in kinds]
        delimiter = data.draw(st.sampled_from([",", ";", "|"]))
        file = io.StringIO()
        csv.writer(file, delimiter=delimiter).writerows([names, *zip(*columns, strict=True)])
        found = read(file.getvalue(), f'text/csv; charset=utf-8; header=present; delimiter="{delimiter}"')
        assert dict(found.columns) == dict(zip(names, columns, strict=True))

    @pytest.mark.parametrize(
        ("body", "names"),
        [
            ("amount,country\n1,DE\n", ["amount", "country"]),
            ("amount\n1\n2\n", ["amount"]),
            ("country,city\nDE,Berlin\nFR,Paris\n", ["country", "city"]),
            ("1,DE\n2,FR\n", ["feature_0", "feature_1"]),
            ("amount,country", ["feature_0", "feature_1"]),
            ("a great product\nbad\n", ["feature_0"]),
            ("DE,Berlin\nDE,Bonn\n", ["feature_0", "feature_1"]),
            ("a,a\n1,2\n", ["feature_0", "feature_1"]),
            ('"the ""amount""",b\n1,2\n', ["feature_0", "feature_1"]),
            ("\ufeffamount,country\r\n1,DE\r\n", ["amount", "country"]),
        ],
    )
    def test_a_header_is_found_out(self, read: Read, body: str, names: list[str]) -> None:
        found = read(body, "text/csv")
        assert (list(found.columns), found.positional) == (names, names[0] == "feature_0")

    def test_declared_or_configured_headers(self, read: Read) -> None:
        assert list(read("1,2\n3,4\n", "text/csv; header=present").columns) == ["1", "2"]
        assert read("a,b\n3,4\n", "text/csv; header=absent").count == 2
        named = DecodeOptions("m", feature_names=("word", "other"))
        assert read("word,other\nword,x\n", "text/csv", named).columns == {"word": ["word"], "other": ["x"]}
        assert list(read("1\t2\n", "text/tab-separated-values", named).columns) == ["word", "other"]

    def test_ragged_rows_are_bad_and_the_others_stay(self, read: Read) -> None:
        found = read("1,2\n3\n4,5\n6,7,8\n9,10\n", "text/csv")
        assert (list(found.bad), found.count) == ([1, 3], 5)
        assert found.columns == {"feature_0": [1, None, 4, None, 9], "feature_1": [2, None, 5, None, 10]}

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "malformed"),
            (b"\n\n\n", "malformed"),
            (b'1,"never ends\n2,3\n', "malformed"),
            (b'1,"a"b\n', "malformed"),
            (b'"' + b"x" * 200_000 + b'"', "malformed"),
            (b"1,2\n3\n4,5,6\n7,8,9,10\n", "wrong_shape"),
            (b"," * 5000, "wrong_shape"),
            (b"1\n" * 10_002, "body_too_large"),
            (b"\xff\xfe\xff", "malformed"),
        ],
    )
    def test_broken(self, read: Read, body: bytes, reason: str) -> None:
        with pytest.raises(DecodeError) as caught:
            read(body, "text/csv")
        assert caught.value.code == reason

    @pytest.mark.parametrize(
        ("body", "rows", "want"),
        [
            ("0.25\n0.5\n", 2, [0.25, 0.5]),
            ("0.25,0.5", 2, [0.25, 0.5]),
            ("0.25", 1, [0.25]),
            ("score,label\n0.25,a\n0.5,b\n", 2, [0.25, 0.5]),
            ("score\n0.25\n", 1, [0.25]),
            ("0.75,0.25\n0.125,0.875\n", 2, [0.25, 0.875]),
        ],
    )
    def test_answers(self, answer: Callable[..., Answers], body: str, rows: int, want: list[float]) -> None:
        assert scores(answer(body, "text/csv", rows)) == want

    @pytest.mark.parametrize("body", ["0.25\n0.5\n0.75\n", "0.1\n", "0.1\n" * 9])
    def test_answers_of_another_number(self, answer: Callable[..., Answers], body: str) -> None:
        with pytest.raises(DecodeError):
            answer(body, "text/csv", 2)


class TestJsonLines:
    @given(st.lists(st.fixed_dictionaries({"a": FLOATS, "b": TEXTS | st.none()}), min_size=1, max_size=6))
    def test_round_trip(self, read: Read, records: list[dict[str, Any]]) -> None:
        found = read(b"\n".join(map(orjson.dumps, records)), LINES)
        assert list(found.records) == records

    def test_broken_lines_are_bad_rows(self, read: Read) -> None:
        found = read('{"a": 1}\n{"a": \n\n{"a": 3}\n', LINES)
        assert (list(found.bad), list(found.records)) == ([1], [{"a": 1}, {}, {"a": 3}])

    def test_patience_with_lines_has_an_end(self, read: Read) -> None:
        """Half of 3,000 lines are Python's own, and more broken ones than are looked at twice."""
        good = ['{"a": NaN}', "{"] * 900 + ['{"a": 1}'] * 1_200
        found = read("\n".join(good), LINES)
        assert len(found.bad) == 900
        found = read("\n".join(["{"] * 1_001 + ['{"a": NaN}'] * 5 + ['{"a": 1}'] * 1_200), LINES)
        assert len(found.bad) == 1_006
        with pytest.raises(DecodeError, match="not_json"):
            read("NaN\n" + "{\n" * 60_000, LINES, DecodeOptions("m", max_rows=100_000))

    def test_arrays_are_positional(self, read: Read) -> None:
        for body in ("[1, 2]\n[3, 4]", '{"features": [1, 2]}\n{"features": [3, 4]}'):
            found = read(body, "application/x-ndjson")
            assert {name: list(column) for name, column in found.columns.items()} == {
                "feature_0": [1, 3],
                "feature_1": [2, 4],
            }

    def test_nothing_that_is_json(self, read: Read) -> None:
        with pytest.raises(DecodeError, match="not_json"):
            read("a\nb\n", LINES)
        with pytest.raises(DecodeError, match="body_too_large"):
            read("1\n" * 20_000, LINES)

    @pytest.mark.parametrize(
        "body", ["0.25\n0.5", '{"score": 0.25}\n{"score": 0.5}', "[0.25, 0.5]", '{"predictions": [0.25, 0.5]}']
    )
    def test_answers(self, answer: Callable[..., Answers], body: str) -> None:
        assert scores(answer(body, LINES, 2)) == [0.25, 0.5]

    @pytest.mark.parametrize(("rows", "body"), [(1, "0.25\n0.5"), (3, "0.25\n0.5"), (3, "[0.25, 0.5]")])
    def test_answers_of_another_number(self, answer: Callable[..., Answers], rows: int, body: str) -> None:
        with pytest.raises(DecodeError, match="row_mismatch"):
            answer(body, LINES, rows)


class TestForm:
    @given(st.dictionaries(st.text(min_size=1), TEXTS, min_size=1, max_size=6))
    def test_round_trip(self, read: Read, fields: dict[str, str]) -> None:
        assert read(urlencode(fields), FORM).records == [fields]

    def test_types_and_lists(self, read: Read) -> None:
        found = read("amount=7.5&tag=a&tag=b&zip=01234&empty=&on=true", FORM)
        assert found.records == [{"amount": 7.5, "tag": ["a", "b"], "zip": "01234", "empty": None, "on": True}]

    def test_json_that_is_called_a_form(self, exchange: Make) -> None:
        one = exchange({"amount": 7}, {"score": 0.5}, request_headers=headers(FORM))
        assert dict(decode([one], OPTIONS, lambda at: at).batches[0].features) == {"amount": [7]}

    @pytest.mark.parametrize(("body", "reason"), [("&" * 9, "wrong_shape"), ("a=1&" * 5000, "malformed")])
    def test_broken(self, read: Read, body: str, reason: str) -> None:
        with pytest.raises(DecodeError, match=reason):
            read(body, FORM)


def part(name: str, content: bytes, *lines: str, file: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
    return "\r\n".join(["--frontier", disposition, *lines, "", ""]).encode() + content + b"\r\n"


END = b"--frontier--\r\n"


class TestMultipart:
    @given(
        st.lists(
            st.tuples(st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.binary()), min_size=1, unique_by=lambda p: p[0]
        )
    )
    def test_files_are_their_size(self, read: Read, files: list[tuple[str, bytes]]) -> None:
        if any(b"--frontier" in content for _, content in files):
            return
        parts = [part(name, content, "Content-Type: image/PNG", file="x.png") for name, content in files]
        want = {name: {"bytes": len(content), "media_type": "image/png"} for name, content in files}
        assert read(b"".join(parts) + END, BOUNDARY).records == [want]

    @given(st.dictionaries(st.from_regex(r"[a-z]{1,9}", fullmatch=True), TEXTS, min_size=1))
    def test_fields_are_columns(self, read: Read, fields: dict[str, str]) -> None:
        body = b"".join(part(name, text.encode()) for name, text in fields.items()) + END
        assert read(b"preamble\r\n" + body, BOUNDARY).records == [fields]

    def test_parts_with_a_type(self, read: Read) -> None:
        body = b"".join([
            part("row", b'{"a": 1}', "Content-Type: application/json"),
            part("word", "Größe".encode("latin-1"), "Content-Type: text/plain; charset=iso-8859-1"),
            part("raw", b"\0\1", "Content-Type: application/octet-stream"),
            part("amount", b"7.5"),
        ])  # fmt: skip
        raw = {"bytes": 2, "media_type": "application/octet-stream"}
        assert read(body + END, BOUNDARY).records == [{"row": {"a": 1}, "word": "Größe", "raw": raw, "amount": 7.5}]

    def test_neither_content_nor_file_name_stays(self, exchange: Make) -> None:
        body = part("scan", b"SECRET-CONTENT", "Content-Type: application/pdf", file="SECRET-name.pdf") + END
        one = exchange(body, {"score": 0.5}, request_headers=headers(BOUNDARY))
        assert "SECRET" not in repr(decode([one], OPTIONS, lambda at: at))

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (part("a", b"1"), BOUNDARY),
            (b"", BOUNDARY),
            (part("a", b"1") + END, "multipart/form-data"),
            (part("a", b"1") + END, "multipart/form-data; boundary=other"),
            (part("a", b"1") + END, f"multipart/form-data; boundary={'x' * 71}"),
            (b"--frontier\r\nContent-Type: text/plain\r\n\r\n1\r\n" + END, BOUNDARY),
            (b"--frontier\r\nno headers" + END, BOUNDARY),
            (part("a", b"1") * 5000 + END, BOUNDARY),
            (part("a", b"{", "Content-Type: application/json") + END, BOUNDARY),
        ],
    )
    def test_broken(self, read: Read, body: bytes, content_type: str) -> None:
        with pytest.raises(DecodeError):
            read(body, content_type)

    @given(st.data())
    def test_mutated_bytes_never_raise_anything_else(self, read: Read, data: st.DataObject) -> None:
        body = bytearray(part("a", b"1") + part("b", b"\0\1", "Content-Type: image/png", file="b") + END)
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(body) - 1))
            body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        try:
            read(bytes(body), BOUNDARY)
        except DecodeError:
            return


ADVERSE = st.sampled_from(["text/csv", LINES, FORM, BOUNDARY, "application/x-npy"])


@given(st.binary(max_size=300), ADVERSE)
def test_any_bytes_are_read_or_refused(read: Read, body: bytes, content_type: str) -> None:
    try:
        found = read(body, content_type)
    except DecodeError:
        return
    assert all(len(np.asarray(column, dtype=object)) == found.count for column in found.columns.values())
