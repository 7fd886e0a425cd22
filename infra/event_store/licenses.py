"""Reading how licenses stand: rare changes that every worker with licensed work wants to hear of, by an index."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from psycopg import Connection

from domain.license import license_stream
from domain.ruling import ABOUT_LICENSES
from domain.task_run import SLOT_COPIES, SLOT_END

# Names stand in the text and are no parameters: else the planner could not see that the partial index has the rows.
_TOUCHED: Final = b"""
    select distinct stream_id from event_store.licensing_events
    where name like 'license.%%' and position > %b and position <= %b
"""
_OPEN: Final = f"""
    select asked.stream_id, asked.data->>'task' from event_store.task_events as asked
    where asked.name = 'task.requested' and asked.data->>'license_id' = %b and asked.stream_id > %b
        and asked.data->>'task' <> all(%b::text[])
        and not exists (
            select from event_store.task_events as ended
            where ended.stream_id = asked.stream_id and ended.version in ({SLOT_END}, {SLOT_COPIES}))
    order by asked.stream_id limit %b
""".encode()  # noqa: S608  constants


def touched_licenses(connection: Connection[Any], *, after: int, upto: int) -> set[str]:
    """Ids of the licenses that something was recorded of after one position of the licensing log, up to another."""
    found = connection.execute(_TOUCHED, [after, upto]).fetchall()
    return {stream.removeprefix(license_stream("")) for (stream,) in found}


def open_licensed_runs(
    connection: Connection[Any],
    license_id: str,
    *,
    after: str = "",
    limit: int,
    exempt: Collection[str] = ABOUT_LICENSES,
) -> list[tuple[str, str]]:
    """Requested runs that name the license, have no end, and that nobody has asked to revoke.

    Args:
        connection: in autocommit, or in a transaction that is to count with it.
        license_id: which.
        after: stream id after which to go on; they come in order of it.
        limit: most to return.
        exempt: tasks that no license decides about.

    Returns:
        stream and task of each.
    """
    return list(connection.execute(_OPEN, [license_id, after, list(exempt), limit]).fetchall())
