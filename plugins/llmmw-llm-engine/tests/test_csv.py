"""What is wrong with tables to train on, and where."""

from __future__ import annotations

import csv
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llmmw_llm_engine import check_training_csv
from llmmw_llm_engine._csv import check_source

from llmmw.errors import BadRequest
from llmmw.plugin import Source, source_of

pytestmark = pytest.mark.plugins

HEAD = b"prompt,response\n"
GOOD = HEAD + b'what?,so\n"a, ""b""\nand c",d\n'


def said(data):
    return [str(one) for one in check_training_csv(data).problems]


def test_a_table_that_is_one():
    report = check_training_csv(GOOD)
    assert report.ok
    assert (report.rows, report.bytes, report.columns) == (2, len(GOOD), ("prompt", "response"))
    assert report.longest == len('a, "b"\nand cd')
    assert str(report) == (
        "the table can be trained on: 2 rows, 44 bytes, the longest row of 13 characters; "
        "better are 200 rows at least"
    )


def test_columns_in_any_order_among_others():
    assert check_training_csv(b"id,response,prompt\n1,b,a\n").ok


WRONG = [
    (b"", "line 1: the table is empty: the first line has to be prompt,response"),
    (b"\n" + GOOD, "line 1: is empty: the first line has to be prompt,response"),
    (HEAD, "line 1: there are no rows below the header"),
    (b"prompt,answer\na,b\n", "line 1: there is no column 'response'"),
    (b"Prompt ,response\na,b\n", "line 1: there is no column 'prompt', only 'Prompt '"),
    (b"prompt,response,prompt\na,b,c\n", "line 1: the column 'prompt' is there 2 times"),
    (b"a,b\n", "line 1: there is no column 'prompt'"),
    (HEAD + b"a,\n", "line 2: the response is empty"),
    (HEAD + b'" ",b\n', "line 2: the prompt is empty"),
    (HEAD + b"a\n", "line 2: has 1 cells, and the header 2"),
    (
        HEAD + b"x,y\na,b,c\n",
        "line 3: has 3 cells, and the header 2: a text with a comma needs quotes around it",
    ),
    (HEAD + b'a,"b\n', "line 2: a quote is opened that nothing closes"),
    (
        HEAD + b'x,y\n"a "b" c",d\n',
        "line 3: a quote within a quoted text: it has to stand twice",
    ),
    (HEAD + b"x,y\na,\xff\n", "line 3: is not UTF-8: byte 3 of it is 0xff"),
    (HEAD + b"a,b\0c\n", "line 2: holds a NUL"),
    (b"\xef\xbb\xbf" + GOOD, "line 1: begins with a byte order mark, which hides the first column"),
    ("prompt,response\n".encode("utf-16"), "line 1: is UTF-16: save the table as UTF-8"),
    (
        HEAD + b'a,"' + b"b" * 140_000,
        "line 2: a cell has more than 131072 characters: is its quote closed?",
    ),
    (
        HEAD + b"a,b\n" + b"c" * 2_000_000,
        "line 3: is longer than 1048576 bytes: nothing behind was read",
    ),
]


@pytest.mark.parametrize(("data", "message"), WRONG)
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_what_is_wrong_and_where(data, message, ends):
    if ends == b"\r\n" and (b"\xff" in data[:2] or b'"' in data):
        return
    assert message in said(data.replace(b"\n", ends))


def test_what_follows_a_bad_row_is_read():
    data = HEAD + b'a,b\n"c "d" e",f\ng,h\ni,\nj,k\n'
    report = check_training_csv(data)
    assert report.count == 2
    assert [one.line for one in report.problems] == [3, 5]


def test_lines_count_within_quotes():
    assert said(HEAD + b'"a\nb\nc",d\n\ne,\n') == ["line 6: the response is empty"]


def test_of_many_problems_the_first_are_told():
    report = check_training_csv(HEAD + b"a,\n" * 1_000)
    assert (report.count, len(report.problems), report.ok) == (1_000, 20, False)
    assert "and 980 more" in str(report)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("size", [1, 2, 7, 50])
async def test_pieces_cut_anywhere(size, mark, ends):
    data = mark + (GOOD + b"a,\xc3\xbc\nb,\n").replace(b"\n", ends)
    assert check_training_csv(data).problems[-1].line == 6
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert await check_source(Source.of_pieces("a.csv", pieces)) == check_training_csv(data)


async def test_paths_and_files(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(GOOD)
    with path.open("rb") as file:
        assert check_training_csv(path) == check_training_csv(str(path)) == check_training_csv(file)
    assert await check_source(source_of(path)) == check_training_csv(GOOD)
    with path.open() as text, pytest.raises(BadRequest, match="rb"):
        check_training_csv(text)
    with pytest.raises(BadRequest, match=r"none\.csv"):
        check_training_csv(tmp_path / "none.csv")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1).filter(
    str.strip
)


@settings(max_examples=100)
@given(rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=5))
def test_what_a_writer_writes_is_right(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("prompt", "response"), *rows])
    report = check_training_csv(file.getvalue().encode())
    assert report.ok
    assert report.rows == len(rows)


@settings(max_examples=200)
@given(data=st.binary(max_size=200))
def test_anything_is_reported_of(data):
    assert check_training_csv(data).bytes <= len(data)
    assert str(check_training_csv(HEAD + data))


class Long(io.RawIOBase):
    """A file of many pieces."""

    def __init__(self, piece, count):
        self.piece, self.left = piece, count

    def read(self, size=-1):
        self.left -= 1
        return self.piece if self.left >= 0 else b""


def looked_through(file):
    """What was found, and the most memory that it took."""
    tracemalloc.start()
    report = check_training_csv(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return report, peak


def test_memory_does_not_grow_with_the_file():
    row = b"prompt,response\n" + b"some response " * 1_000 + b",b\n"
    report, peak = looked_through(Long(row * 9, 300))
    assert report.ok
    assert report.bytes > 35_000_000
    assert peak < 2_000_000


def test_memory_does_not_grow_with_a_row():
    """Of many cells, each of which is short and goes on in the next line."""
    report, peak = looked_through(Long(b'"a\n",' * 20_000, 100))
    assert [str(one) for one in report.problems] == [
        "line 1: is longer than 1048576 bytes: nothing behind was read"
    ]
    assert peak < 40_000_000
