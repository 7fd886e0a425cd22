from __future__ import annotations

import subprocess
import sys
import time

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from infra import database
from infra.database import DatabaseUnreachableError, parameters
from infra.settings import Settings
from tests.waiting import eventually

NOBODY_LISTENS = "postgresql://somebody:secret@127.0.0.1:1/nowhere"


def shown(connection: psycopg.Connection[tuple[object, ...]], setting: str) -> object:
    (value,) = connection.execute("select current_setting(%s)", (setting,)).fetchone() or (None,)
    return value


@pytest.mark.parametrize(("name", "listed"), [("ingest", "ledgerq ingest"), ("ledgerq dispatch", "ledgerq dispatch")])
def test_a_connection_tells_the_server_whose_it_is(settings: Settings, name: str, listed: str) -> None:
    with database.connect(settings, name=name) as connection:
        assert shown(connection, "application_name") == listed


def test_times_are_in_utc_and_texts_in_unicode_whatever_is_set_elsewhere(
    untouched: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.connect(untouched, name="test") as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set timezone = 'Asia/Tokyo'").format(name))
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with database.connect(untouched, name="test") as connection:
        (told,) = connection.execute("select timestamptz '2026-03-01 12:00+09' || ' ⏰'").fetchone() or ("",)
    assert told == "2026-03-01 03:00:00+00 ⏰"


def test_what_the_operator_sets_in_the_url_goes_before_what_we_set(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    options = "?connect_timeout=3&options=-c%20idle_in_transaction_session_timeout%3D7s%20-c%20work_mem%3D9MB"
    with psycopg.connect(parameters(url + options, name="test")) as connection:
        assert shown(connection, "idle_in_transaction_session_timeout") == "7s"
        assert shown(connection, "work_mem") == "9MB"
        assert shown(connection, "TimeZone") == "UTC"
        assert connection.info.get_parameters()["connect_timeout"] == "3"


def test_the_server_ends_a_transaction_that_is_left_open(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    quick = settings.model_copy(
        update={"database_url": SecretStr(f"{url}?options=-c%20idle_in_transaction_session_timeout%3D100ms")}
    )
    with database.connect(settings, name="looking") as looking, database.connect(quick, name="left open") as idle:
        assert shown(looking, "idle_in_transaction_session_timeout") == "1min"
        idle.execute("begin")
        eventually(lambda: not is_there(looking, "ledgerq left open"), seconds=5)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            idle.execute("select 1")


def is_there(connection: psycopg.Connection[tuple[object, ...]], name: str) -> bool:
    query = "select from pg_stat_activity where application_name = %s and datname = current_database()"
    found = connection.execute(query, (name,)).fetchone()
    return found is not None


def test_a_database_that_is_away_is_known_at_once_and_why() -> None:
    began = time.monotonic()
    with pytest.raises(DatabaseUnreachableError, match="refused") as caught:
        database.connect(Settings(database_url=SecretStr(NOBODY_LISTENS)), name="test")
    assert time.monotonic() - began < 2
    assert "secret" not in str(caught.value)


def test_the_engine_goes_on_after_its_idle_session_was_ended(settings: Settings) -> None:
    engine = database.engine(settings, name="to be ended", connections=1)
    with engine.connect() as connection:
        first = connection.exec_driver_sql("select pg_backend_pid()").scalar()
    with database.connect(settings, name="executioner") as executioner:
        executioner.execute("select pg_terminate_backend(%s, 5000)", (first,))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("select pg_backend_pid()").scalar() != first
    engine.dispose()


def test_a_process_that_only_stores_events_loads_neither_sqlalchemy_nor_alembic() -> None:
    question = (
        "import sys, infra.database, infra.event_store; "
        "print(sorted(name for name in ('sqlalchemy', 'alembic') if name in sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", question], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"
