"""What an upgrade makes of error callbacks that messages of long ago name."""

from __future__ import annotations

from infra import database
from infra.database import migrate
from infra.event_store import Checkpoint, Log
from infra.settings import Settings
from tasks.dispatch.error_callbacks import FOLLOWER
from tests.infra.databases import fresh_database
from tests.infra.migrations.test_returned_sessions import revision_before


def test_none_is_called_of_what_ended_before(servers: Settings) -> None:
    with fresh_database(servers) as settings:
        migrate(settings, to=revision_before("error_callbacks"))
        with database.connect(settings, name="test") as connection:
            connection.execute("""
                insert into event_store.task_events (stream_id, version, name, data, event_id, occurred_at)
                select 'task_run-' || n, 1073741824, 'task.dead_lettered', '{}', gen_random_uuid(), now()
                from generate_series(1, 3) as n
            """)
        migrate(settings)
        with database.connect(settings, name="test") as connection:
            assert Checkpoint.read(connection, FOLLOWER, Log.TASKS) == 3
