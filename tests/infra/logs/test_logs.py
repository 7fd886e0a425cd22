import io
import json
import logging
from datetime import UTC, datetime

import pytest
import structlog

from infra.logs import about, configure
from infra.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_away_from_a_terminal_every_line_is_a_json_object() -> None:
    stream = io.StringIO()
    configure(Settings(), stream=stream)
    structlog.get_logger("ledgerq.ingest").info("stored", messages=7, until=datetime(2024, 1, 1, tzinfo=UTC))
    logging.getLogger("some.library").warning("it %s", "rained")
    ours, theirs = lines(stream)
    assert ours["message"] == "stored"
    assert ours["messages"] == 7
    assert (ours["level"], ours["logger"]) == ("info", "ledgerq.ingest")
    assert str(ours["timestamp"]).endswith("Z")
    assert (theirs["message"], theirs["level"]) == ("it rained", "warning")


def test_an_exception_is_one_line_with_its_traceback() -> None:
    stream = io.StringIO()
    configure(Settings(), stream=stream)
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(stream)
    assert "ValueError: invalid literal" in str(line["exception"])


def test_on_a_terminal_lines_are_for_people() -> None:
    stream = Terminal()
    configure(Settings(), stream=stream)
    structlog.get_logger("ledgerq.ingest").info("stored", messages=7)
    assert "stored" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_a_traceback_shows_no_values_of_variables() -> None:
    stream = Terminal()
    configure(Settings(), stream=stream)
    password = "sesame"  # noqa: S105
    try:
        int("not a number" + password[:0])
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError" in stream.getvalue()
    assert password not in stream.getvalue()


def test_lines_below_the_level_are_not_written_and_chatty_libraries_are_heard_in_debug_only() -> None:
    quiet, loud = io.StringIO(), io.StringIO()
    for level, stream in (("info", quiet), ("debug", loud)):
        configure(Settings(log_level=level), stream=stream)
        structlog.get_logger("ledgerq").debug("detail")
        logging.getLogger("pika.adapters").info("connecting")
    assert lines(quiet) == []
    assert [line["message"] for line in lines(loud)] == ["detail", "connecting"]


def test_single_loggers_have_levels_of_their_own() -> None:
    stream = io.StringIO()
    configure(Settings(log_levels="some.library=error, some.library.part=debug,pika=debug"), stream=stream)
    for name in ("some.library", "some.library.part", "pika", "another"):
        logging.getLogger(name).debug("detail")
        logging.getLogger(name).warning("trouble")
    assert [(line["logger"], line["message"]) for line in lines(stream)] == [
        ("some.library.part", "detail"),
        ("some.library.part", "trouble"),
        ("pika", "detail"),
        ("pika", "trouble"),
        ("another", "trouble"),
    ]


class Full(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_disk_that_is_full_is_told_once_and_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(), stream=Full())
    for _ in range(3):
        structlog.get_logger("ledgerq").warning("trouble")
    told = capsys.readouterr().err
    assert told == "ledgerq: log lines cannot be written, and the work goes on: [Errno 28] No space left on device\n"


def test_every_line_of_a_block_says_what_it_is_about_whoever_writes_it() -> None:
    stream = io.StringIO()
    configure(Settings(), stream=stream)
    asked: list[int] = []

    def fields() -> dict[str, object]:
        asked.append(1)
        return {"run_id": "r-1", "task": "demo", "license_id": None}

    with about(fields):
        structlog.get_logger("ledgerq").debug("not written, and not asked for")
        structlog.get_logger("ledgerq").info("ours", task="its own")
        logging.getLogger("some.library").warning("theirs")
    logging.getLogger("some.library").warning("after")
    ours, theirs, after = lines(stream)
    assert (ours["run_id"], ours["task"]) == ("r-1", "its own")
    assert (theirs["run_id"], theirs["task"]) == ("r-1", "demo")
    assert "license_id" not in theirs
    assert "run_id" not in after
    assert len(asked) == 2
