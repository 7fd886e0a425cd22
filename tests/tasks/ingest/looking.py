"""The database as a test sees it."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from domain.heartbeat import WatermarkPassed
from infra import database
from infra.settings import Settings

WATERMARK = WatermarkPassed.TOPIC


class Database:
    """Counts, and a hand on other people's sessions."""

    def __init__(self, settings: Settings) -> None:
        self.connection = database.connect(settings, name="test, looking")

    def streams(self, log: str, prefix: str) -> dict[str, list[str]]:
        """Names of events in order of version, by what follows ``prefix`` in the stream's name."""
        query = f"select stream_id, name from event_store.{log} where stream_id like %s order by stream_id, version"  # noqa: S608
        found: dict[str, list[str]] = {}
        for stream_id, name in self.connection.execute(query, (f"{prefix}%",)):
            found.setdefault(stream_id.removeprefix(prefix), []).append(name)
        return found

    def licenses(self, mark: str) -> dict[str, list[str]]:
        return self.streams("licensing_events", f"license-{mark}")

    def sessions(self, mark: str) -> dict[str, list[str]]:
        return self.streams("licensing_events", f"session-{mark}")

    def runs(self, mark: str) -> dict[str, list[str]]:
        return self.streams("task_events", f"task_run-{mark}")

    def reasons(self, mark: str) -> list[str]:
        """Why messages that mention ``mark`` were not taken in."""
        query = """
            select data->>'reason' from event_store.licensing_events
            where name = 'ingest.message_dead_lettered' and data->>'fragment' like %s order by position
        """
        return [reason for (reason,) in self.connection.execute(query, (f"%{mark}%",))]

    def heartbeats(self, mark: str) -> int:
        query = """
            select count(*) from event_store.heartbeat_events, jsonb_array_elements_text(data->'session_ids') as session
            where name = 'session.heartbeats_received' and session like %s
        """
        return self._number(query, f"{mark}%")

    def requests(self, task: str) -> int:
        """How many runs of ``task`` were accepted."""
        query = "select count(*) from event_store.task_events where name = 'task.requested' and data->>'task' = %s"
        return self._number(query, task)

    def watermarks(self) -> int:
        return self._number("select count(*) from event_store.heartbeat_events where name = %s", WATERMARK)

    def count(self, mark: str) -> int:
        """Messages that mention ``mark`` and are dealt with: licenses issued and messages not taken in."""
        query = """
            select count(*) from event_store.licensing_events
            where name in ('license.issued', 'ingest.message_dead_lettered') and data::text like %s
        """
        return self._number(query, f"%{mark}%")

    def letters(self, mark: str) -> dict[str, tuple[str, str, str, int]]:
        """Reason, queue, task and version of each dead letter, by its run."""
        query = """
            select substr(stream_id, 10), data->>'reason', data->>'queue', data->>'task', version
            from event_store.task_events where name = 'task.dead_lettered' and stream_id like %s
        """
        rows = self.connection.execute(query, (f"task_run-{mark}%",))
        return {run_id: (reason, queue, task, version) for run_id, reason, queue, task, version in rows}

    def choke_on(self, stream_id: str) -> None:
        """Make the database fail at whoever inserts an event of this stream."""
        self.recover()
        self.connection.execute(
            """
            create function event_store.choke() returns trigger language plpgsql as
            $$ begin raise exception 'choked'; end $$
            """
        )
        statement = sql.SQL(
            "create trigger choke before insert on event_store.licensing_events for each row "
            "when (new.stream_id = {}) execute function event_store.choke()"
        )
        self.connection.execute(statement.format(sql.Literal(stream_id)))

    def recover(self) -> None:
        """Undo :meth:`choke_on`."""
        self.connection.execute("drop function if exists event_store.choke cascade")

    def terminate_ingest(self) -> int:
        """End every session of ingest's, as an administrator or a failover does; how many there were."""
        query = """
            select count(pg_terminate_backend(pid)) from pg_stat_activity
            where datname = current_database() and application_name = %s
        """
        return self._number(query, "ledgerq ingest")

    def ingest_waits(self) -> bool:
        """Whether a statement of ingest's waits for a lock."""
        query = """
            select count(*) from pg_stat_activity
            where datname = current_database() and application_name = %s and wait_event_type = 'Lock'
        """
        return self._number(query, "ledgerq ingest") > 0

    def _number(self, query: LiteralString, value: str) -> int:
        row = self.connection.execute(query, (value,)).fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        self.connection.close()
