from __future__ import annotations

import pytest
from click.testing import CliRunner

from infra import database
from infra.cli import ledgerq
from infra.database.migration import newest_revision
from infra.settings import Settings


def test_migrate_says_where_the_schema_stands(untouched: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", untouched.database_url.get_secret_value())
    for _ in range(2):
        told = CliRunner().invoke(ledgerq, ["migrate"])
        assert (told.exit_code, told.output) == (0, f"The schema is at revision {newest_revision()}.\n")


def test_migrate_names_the_reason_when_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    told = CliRunner().invoke(ledgerq, ["migrate"])
    assert told.exit_code == 1
    assert told.stderr.startswith("ledgerq migrate: the database cannot be reached:")
    assert "refused" in told.stderr


def test_migrate_refuses_a_schema_of_a_later_release(untouched: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGERQ_DATABASE_URL", untouched.database_url.get_secret_value())
    database.migrate(untouched)
    with database.connect(untouched, name="test") as connection:
        connection.execute("update event_store.schema_version set version_num = '9999'")
    told = CliRunner().invoke(ledgerq, ["migrate"])
    assert told.exit_code == 1
    assert "9999" in told.stderr
