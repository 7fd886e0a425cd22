"""The command that compares the table of held seats with the log."""

from __future__ import annotations

from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from domain.license import License
from domain.session import Session
from infra.cli import ledgerq
from infra.event_store import Log
from infra.settings import Settings
from tests.projections.histories import at, changes
from tests.projections.world import World


@pytest.fixture
def check(world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", settings.database_url.get_secret_value())
    return world


def asked(*options: str) -> Result:
    return CliRunner().invoke(ledgerq, ["license", "check-seats", *options])


def test_a_table_that_somebody_wrote_to_is_told_and_mended(check: World) -> None:
    under = License.issue("l1", valid_until=at(86_400), at=at(0), seats=2)
    session = Session.start("s1", under=under, default_patience=timedelta(minutes=6), at=at(1), taken=0)
    check.record(Log.LICENSING, *changes(under), *changes(session))
    assert (asked().exit_code, asked().output) == (0, "the table of held seats is what the log says\n")
    with check.connection.begin():
        check.psycopg.execute("update event_store.seats set session_id = 's9'")
    found = asked()
    assert found.exit_code == 1
    assert "l1: s1 holds a seat and is missing\nl1: s9 holds none and is there\n2 differ" in found.output
    mended = asked("--mend")
    assert (mended.exit_code, mended.output.splitlines()[-1]) == (0, "mended: 2")
    assert asked().exit_code == 0
