from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from infra import database
from infra.database import migrate
from infra.database.migration import SCRIPTS
from infra.settings import Settings
from tests.infra.databases import fresh_database


@pytest.fixture
def untouched(servers: Settings) -> Iterator[Settings]:
    """Settings of a database that nothing was done to."""
    with fresh_database(servers) as settings:
        yield settings


def revision_before(name: str) -> str:
    """The revision on which the migration of that name builds."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    (found,) = (
        script for script in ScriptDirectory.from_config(config).walk_revisions() if script.path.endswith(f"_{name}.py")
    )
    return str(found.down_revision)


def test_sessions_that_were_there_know_their_latest_return_as_a_rebuild_would_have_it(untouched: Settings) -> None:
    migrate(untouched, to=revision_before("returned_sessions"))
    with database.connect(untouched, name="test") as connection:
        connection.execute("""
            insert into read_model.sessions (session_id, last_heartbeat_at, heartbeat_count, state)
            values ('back', '2026-03-01 12:10Z', 3, 'active'), ('unheard', null, 0, 'active');
            insert into read_model.session_returns values
                ('back', '2026-03-01 12:00Z'), ('back', '2026-03-01 12:09Z'), ('other', '2026-03-01 12:11Z');
        """)

    migrate(untouched)

    with database.connect(untouched, name="test") as connection:
        found = connection.execute("""
            select session_id, returned_at = '2026-03-01 12:09Z' from read_model.sessions order by session_id
        """).fetchall()
    assert found == [("back", True), ("unheard", None)]
