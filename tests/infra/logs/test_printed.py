import io
import json
import logging
import threading

import pytest

from infra.logs import configure
from infra.logs.printed import LONGEST_LINE, PrintedLines
from infra.settings import Settings


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def printed(stream: io.StringIO) -> PrintedLines:
    configure(Settings(), stream=stream)
    return PrintedLines(io.StringIO(), logging.getLogger("ledgerq.stdout"), logging.INFO)


def said(stream: io.StringIO) -> list[str]:
    return [json.loads(line)["message"] for line in stream.getvalue().splitlines()]


def test_a_line_is_one_line_however_many_pieces_it_came_in(printed: PrintedLines, stream: io.StringIO) -> None:
    print("a", 1, {"b": 2}, file=printed)
    print("50 %s of it", file=printed)
    assert said(stream) == ["a 1 {'b': 2}", "50 %s of it"]


def test_many_lines_at_once_are_many_and_empty_ones_none(printed: PrintedLines, stream: io.StringIO) -> None:
    printed.write("one\ntwo\n\n  \nthree")
    assert said(stream) == ["one", "two"]
    printed.end_line()
    printed.end_line()
    assert said(stream) == ["one", "two", "three"]


def test_a_line_that_never_ends_is_written_when_it_is_long(printed: PrintedLines, stream: io.StringIO) -> None:
    for _ in range(LONGEST_LINE // 100 + 1):
        printed.write("x" * 100)
    assert len(said(stream)) == 1


def test_threads_do_not_mix_their_lines(printed: PrintedLines, stream: io.StringIO) -> None:
    printed.write("mine ")
    other = threading.Thread(target=lambda: print("theirs", file=printed))
    other.start()
    other.join()
    print("too", file=printed)
    assert said(stream) == ["theirs", "mine too"]
