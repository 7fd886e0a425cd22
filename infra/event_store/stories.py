"""Stories that were taken back, and what the log has of a story's runs; each question has an index of its own."""

from __future__ import annotations

from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import args_row

from domain.fan_in import SETTLED
from domain.task_run import RUN_STREAM_PREFIX, SLOT_COPIES, SLOT_END
from infra.event_store.log import Log
from infra.event_store.log_table import LogTable
from infra.event_store.revocations import Revocation

# Names stand in the texts and are no parameters: else the planner could not see that the partial index has the rows.
_REVOKED: Final = b"""
    select data->>'correlation_id', data->>'reason', metadata->>'actor', position, event_id
    from event_store.task_events
    where name = 'story.revocation_requested' and position > %b and position <= %b
"""
_RUNS: Final = f"""
    from event_store.task_events as told
    where metadata->>'correlation_id' = %b and starts_with(stream_id, '{RUN_STREAM_PREFIX}')
"""
_OPEN: Final = f"""
    select position, stream_id, data->>'task' {_RUNS}
        and position > %b and position <= %b and data->>'task' is not null
        and not exists (
            select from event_store.task_events as ended
            where ended.stream_id = told.stream_id and ended.version in ({SLOT_END}, {SLOT_COPIES}))
    order by position limit %b
""".encode()  # noqa: S608  constants
# A member whose client has declared it counts, though nobody has taken its message yet: the first link of each.
_STANDING: Final = f"""
    select substr(run.stream_id, {len(RUN_STREAM_PREFIX) + 1}), run.task, ended.name, ended.position
    from (
        select stream_id, min(task) as task, min(position) as first
        from (
            select stream_id, data->>'task' as task, position {_RUNS}
            union all
            select '{RUN_STREAM_PREFIX}' || (links->>0), null, position
            from event_store.task_events as declared, jsonb_array_elements(declared.data->'members') as links
            where declared.metadata->>'correlation_id' = %b and declared.name = 'fan_in.declared'
        ) as told
        group by stream_id
    ) as run
    left join event_store.task_events as ended on ended.stream_id = run.stream_id and ended.version = {SLOT_END}
    order by run.first, run.stream_id
""".encode()  # noqa: S608  constants
_OPEN_FAN_INS: Final = f"""
    select stream_id from event_store.task_events as declared
    where metadata->>'correlation_id' = %b and name = 'fan_in.declared'
        and not exists (
            select from event_store.task_events as settled
            where settled.stream_id = declared.stream_id and settled.version = {SETTLED})
    order by position
""".encode()  # noqa: S608  constants


class RevokedStories:
    """Stories that were taken back, in memory, as far as the log is final.

    A story is not forgotten: its messages may lie in a queue for as long as nobody serves that. Each takes some 500
    bytes. One thread looks; any may ask.
    """

    def __init__(self) -> None:
        self._table = LogTable(Log.TASKS.table)
        self._position = 0
        self._by_id: dict[str, Revocation] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def look(self, connection: Connection[Any]) -> None:
        """Hear of those that were taken back since the last look; on a connection in autocommit."""
        safe = self._table.safe_position(connection)
        if safe <= self._position:
            return
        with connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_REVOKED, [self._position, safe]).fetchall()
        self._by_id.update((story, _revocation(*told)) for story, *told in rows)
        self._position = safe

    def of(self, correlation_id: str | None) -> Revocation | None:
        """Why the runs of a story are not to be executed; None: nobody took it back."""
        return self._by_id.get(correlation_id or "")


class StoryRun(NamedTuple):
    """A run of a story.

    Attributes:
        run_id: its id.
        task: the task's name; None where nothing is recorded of the run but that it is a member of a fan-in.
        end: stored name of its end; None while it is open.
        end_position: of its end in the log of tasks; None while it is open.
    """

    run_id: str
    task: str | None
    end: str | None
    end_position: int | None


def open_runs_of_story(
    connection: Connection[Any], correlation_id: str, *, after: int, upto: int, limit: int
) -> list[tuple[int, str, str]]:
    """Runs of the story that have no end and that nobody has asked to revoke, by what was recorded of them.

    Args:
        connection: in autocommit, or in a transaction that is to count with it.
        correlation_id: names the story.
        after: position of the log of tasks after which to look.
        upto: position up to which to look.
        limit: most events to look at.

    Returns:
        position, stream and task of events, in order; a run is there once for each of its events.
    """
    return list(connection.execute(_OPEN, [correlation_id, after, upto, limit]).fetchall())


def runs_of_story(connection: Connection[Any], correlation_id: str) -> list[StoryRun]:
    """All runs of the story that the log knows of, declared members too, in the order in which it came to know them."""
    with connection.cursor(row_factory=args_row(StoryRun)) as cursor:
        return cursor.execute(_STANDING, [correlation_id, correlation_id]).fetchall()


def open_fan_ins_of_story(connection: Connection[Any], correlation_id: str) -> list[str]:
    """Streams of the story's fan-ins that are not settled."""
    return [stream for (stream,) in connection.execute(_OPEN_FAN_INS, [correlation_id]).fetchall()]


def _revocation(reason: str | None, actor: str | None, position: int, event_id: UUID) -> Revocation:
    return Revocation("", reason or "", actor or "somebody", position, decided_by=str(event_id))
