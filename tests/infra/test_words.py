from __future__ import annotations

from uuid import uuid4

import pytest
from click.testing import CliRunner

from infra.cli import ledgerq

COMMANDS = (
    ("session", "show"),
    ("license", "show"),
    ("events", "stream"),
    ("events", "correlation"),
    ("events", "tail", "--stream"),
    ("events", "skip", str(uuid4()), "--reason"),
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("text", "reason"), [("r\udcff", "character 2 is not UTF-8"), ("r\x00", "NUL at character 2")])
def test_an_argument_that_is_no_text_is_a_usage_error_that_says_where(
    command: tuple[str, ...], text: str, reason: str
) -> None:
    done = CliRunner().invoke(ledgerq, [*command, text])
    assert (done.exit_code, reason in done.stderr) == (2, True), done.exception
