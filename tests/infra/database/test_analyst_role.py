"""What an analyst may is found out by logging in as one and trying."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import errors

from infra import database
from infra.database import migrate
from infra.settings import Settings
from tests.infra.databases import fresh_database

Connection = psycopg.Connection[tuple[Any, ...]]
PASSWORD = "analyst"  # noqa: S105  of a server that is gone with the test


@pytest.fixture(scope="module")
def migrated(servers: Settings) -> Iterator[Settings]:
    with fresh_database(servers) as settings:
        migrate(settings)
        # The role is the server's: another test session may be giving it its password at this moment.
        with database.connect(servers, name="test") as owner:
            owner.execute("select pg_advisory_lock(hashtextextended('password of ledgerq_analyst', 0))")
            owner.execute(f"alter role ledgerq_analyst password '{PASSWORD}'")
        yield settings


@pytest.fixture
def log_in(migrated: Settings) -> Iterator[Callable[[], Connection]]:
    url = urlsplit(migrated.database_url.get_secret_value())
    place = url.netloc.rpartition("@")[2]
    own = urlunsplit(url._replace(netloc=f"ledgerq_analyst:{PASSWORD}@{place}"))
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(own, autocommit=True))


@pytest.fixture
def analyst(log_in: Callable[[], Connection]) -> Connection:
    return log_in()


def names(connection: Connection, kind: str) -> list[str]:
    found = connection.execute(
        "select relname from pg_class where relnamespace = 'analytics'::regnamespace and relkind = %s", (kind,)
    )
    return sorted(name for (name,) in found.fetchall())


def test_an_analyst_reads_every_view_without_naming_the_schema(analyst: Connection) -> None:
    views = names(analyst, "v")
    assert len(views) > 15
    for view in views:
        analyst.execute(f"select * from {view} limit 1".encode())  # noqa: S608  our own names


@pytest.mark.parametrize(
    "statement",
    [
        "select * from event_store.licensing_events",
        "select * from read_model.licenses",
        "select * from event_store.checkpoints",
        "insert into read_model.licenses (license_id) values ('x')",
        "delete from analytics.dim_licenses",
        "update event_store.checkpoints set position = 0",
        "create table analytics.mine (x int)",
        "create view analytics.mine as select 1",
        "create table public.mine (x int)",
        "drop view analytics.dim_licenses",
        "truncate read_model.sessions",
        "do $$ begin lock table analytics.dim_licenses in exclusive mode; end $$",
        "select analytics.admit_analysts()",
        "select event_store.task_events_append('{}', '{}', '{}', '{}', '{}', '{}', '{}', true)",
        "create schema mine",
        "alter role ledgerq_analyst connection limit 1000",
        "select pg_read_file('/etc/passwd')",
        "copy (select 1) to program 'true'",
    ],
)
def test_an_analyst_who_lifts_read_only_still_may_not(analyst: Connection, statement: str) -> None:
    analyst.execute("set default_transaction_read_only = off")
    with pytest.raises((errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)):
        analyst.execute(statement.encode())


def test_an_analyst_s_transaction_only_reads(analyst: Connection) -> None:
    with pytest.raises(errors.ReadOnlySqlTransaction):
        analyst.execute("create temporary table mine (x int)")


def test_a_question_that_takes_too_long_is_ended(analyst: Connection) -> None:
    """The limit in force is a minute: here it is only lowered, so that the test need not take one."""
    assert analyst.execute("show statement_timeout").fetchone() == ("1min",)
    analyst.execute("set statement_timeout = '200ms'")
    with pytest.raises(errors.QueryCanceled, match="statement timeout"):
        analyst.execute("select count(*) from generate_series(1, 1e12)")


def test_an_analyst_sees_times_in_utc_whatever_the_server_shows(analyst: Connection, migrated: Settings) -> None:
    with database.connect(migrated, name="test") as owner:
        owner.execute("set timezone = 'Asia/Tokyo'")
        assert owner.execute("select '2026-03-01 12:00Z'::timestamptz::text").fetchone() == ("2026-03-01 21:00:00+09",)
    assert analyst.execute("select '2026-03-01 12:00Z'::timestamptz::text").fetchone() == ("2026-03-01 12:00:00+00",)


def test_an_analyst_who_goes_for_lunch_in_a_transaction_is_sent_home(analyst: Connection) -> None:
    assert analyst.execute("show idle_in_transaction_session_timeout").fetchone() == ("1min",)
    assert analyst.execute("show lock_timeout").fetchone() == ("5s",)


def test_an_analyst_may_not_fill_the_disk(analyst: Connection) -> None:
    """As far as the server lets the migrating user say so; this test's user is a superuser."""
    assert analyst.execute("show temp_file_limit").fetchone() == ("4GB",)
    with pytest.raises(errors.InsufficientPrivilege):
        analyst.execute("set temp_file_limit = -1")


def test_analysts_cannot_take_all_connections(log_in: Callable[[], Connection], migrated: Settings) -> None:
    with database.connect(migrated, name="test") as owner:
        limit = owner.execute("select rolconnlimit from pg_roles where rolname = 'ledgerq_analyst'").fetchone()
    assert limit == (10,)
    for _ in range(10):
        try:
            log_in()
        except psycopg.OperationalError as refused:  # earlier where another test session holds some
            assert "too many connections" in str(refused)  # noqa: PT017
    with pytest.raises(psycopg.OperationalError, match="too many connections"):
        log_in()


def test_a_view_of_a_later_migration_is_theirs_too(migrated: Settings, analyst: Connection) -> None:
    with database.connect(migrated, name="test") as owner:
        owner.execute("create view analytics.later as select 1 as x")
        try:
            assert analyst.execute("select x from later").fetchone() == (1,)
        finally:
            owner.execute("drop view analytics.later")


def test_who_may_not_create_roles_migrates_and_is_told_what_to_do(servers: Settings) -> None:
    with (
        fresh_database(servers) as settings,
        database.connect(settings, name="test") as owner,
        owner.transaction(force_rollback=True),
    ):
        migrate(settings)
        owner.execute("create role some_owner")
        owner.execute("alter role ledgerq_analyst rename to ledgerq_analyst_away")
        owner.execute("grant all on schema analytics to some_owner")
        owner.execute("alter function analytics.admit_analysts() owner to some_owner")
        owner.execute("set local role some_owner")
        (said,) = owner.execute("select analytics.admit_analysts()").fetchone() or ("",)
    assert "create role ledgerq_analyst login connection limit 10" in said


def test_an_analyst_asks_as_of_an_instant_and_still_does_not_read_the_log(analyst: Connection) -> None:
    for kind in ("session", "license", "task"):
        assert analyst.execute(f"select * from {kind}_as_of('x', now())".encode()).fetchall() == []  # noqa: S608
    assert analyst.execute("select * from heartbeats_of('x', '-infinity', now())").fetchall() == []
    with pytest.raises(errors.InsufficientPrivilege):
        analyst.execute("select * from event_store.story_as_of('licensing', 'license-x', null, 'occurred')")


def test_a_function_that_runs_as_its_owner_finds_only_what_its_owner_meant(migrated: Settings) -> None:
    """Its search path is fixed: nothing that somebody else makes comes before what it names."""
    with database.connect(migrated, name="test") as owner:
        loose = owner.execute(
            """select proname from pg_proc
               where prosecdef and pronamespace::regnamespace::text in ('analytics', 'event_store', 'read_model')
                   and coalesce(proconfig::text, '') not like '%search_path=pg_catalog, pg_temp%'"""
        ).fetchall()
    assert loose == []
