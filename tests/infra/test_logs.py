import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from infra.logs import configure
from infra.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


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
