from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import SecretStr

from infra import database
from infra.database import DatabaseUnreachableError, SchemaTooNewError, migrate
from infra.database.migration import SCRIPTS, newest_revision, revision
from infra.settings import Settings

TABLES = "select count(*) from pg_class where relnamespace = 'event_store'::regnamespace and relkind = 'r'"


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return ScriptDirectory.from_config(config)


def test_the_newest_file_is_what_alembic_calls_the_head() -> None:
    """The quick answer, by the names of files, is the right one."""
    assert scripts().get_heads() == [newest_revision()]
    history = [script.revision for script in scripts().walk_revisions()]
    assert history == sorted(history, reverse=True)


def test_an_untouched_database_is_brought_to_the_newest_revision(untouched: Settings) -> None:
    assert revision(untouched) is None
    assert migrate(untouched) == newest_revision()
    assert revision(untouched) == newest_revision()


def test_migrating_step_by_step_and_twice_gives_what_migrating_once_gives(untouched: Settings) -> None:
    assert migrate(untouched, to="0001") == "0001"
    with database.connect(untouched, name="test") as connection:
        before = connection.execute(TABLES).fetchone()
    assert migrate(untouched, to="0001") == "0001"
    with database.connect(untouched, name="test") as connection:
        assert connection.execute(TABLES).fetchone() == before
    assert migrate(untouched) == newest_revision()
    assert migrate(untouched, to="0001") == newest_revision()


def test_several_may_migrate_at_once(untouched: Settings) -> None:
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(migrate, [untouched] * 4)) == {newest_revision()}


def test_where_there_is_nothing_to_do_alembic_is_not_even_loaded(untouched: Settings) -> None:
    migrate(untouched)
    question = (
        "import sys; from infra.settings import load_settings; from infra.database import migrate; "
        "print(migrate(load_settings()), 'alembic' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    url = untouched.database_url.get_secret_value()
    told = subprocess.run(
        [sys.executable, "-c", question], check=True, capture_output=True, text=True, env={"LEDGERQ_DATABASE_URL": url}
    )
    assert told.stdout.split() == [newest_revision(), "False", "False"]


def test_a_schema_of_a_later_release_is_refused_and_left_alone(untouched: Settings) -> None:
    migrate(untouched)
    with database.connect(untouched, name="test") as connection:
        connection.execute("update event_store.schema_version set version_num = '9999'")

    with pytest.raises(SchemaTooNewError, match=f"at 9999 and this release knows {newest_revision()}"):
        migrate(untouched)
    assert revision(untouched) == "9999"


def test_a_migration_that_fails_leaves_nothing_behind_and_can_be_done_again(untouched: Settings) -> None:
    with database.connect(untouched, name="test") as connection:
        connection.execute("create schema event_store create table checkpoints ()")
    with pytest.raises(Exception, match="already exists"):
        migrate(untouched)
    with database.connect(untouched, name="test") as connection:
        assert connection.execute("select to_regprocedure('event_store.refuse_change()')").fetchone() == (None,)
        connection.execute("drop table event_store.checkpoints")

    assert migrate(untouched) == newest_revision()


def test_a_database_that_is_away_is_a_fault() -> None:
    with pytest.raises(DatabaseUnreachableError, match="refused"):
        migrate(Settings(database_url=SecretStr("postgresql://127.0.0.1:1/nowhere")))
