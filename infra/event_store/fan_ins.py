"""Members of fan-ins that are not settled: who waits for which run, and how many have ended how."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection
from psycopg.rows import args_row

from domain.fan_in import DECLARED, Count, fan_in_stream
from domain.task_run import SLOT_END, run_stream
from infra.event_store.payloads import unpacked

_MEMBER: Final = """
    insert into event_store.fan_in_members (run_id, fan_in_id, place, is_last)
    select * from unnest(%s::text[], %s::text[], %s::integer[], %s::boolean[]) on conflict do nothing
"""
_PLACE: Final = """
    insert into event_store.fan_in_places (fan_in_id, place, run_id)
    select * from unnest(%s::text[], %s::integer[], %s::text[]) on conflict do nothing
"""
_ENDED: Final = f"""
    select stream_id, name from event_store.task_events where stream_id = any(%s::text[]) and version = {SLOT_END}
"""  # noqa: S608  a constant
_NOTE: Final = """
    update event_store.fan_in_places as p set is_succeeded = e.is_succeeded, run_id = e.run_id
    from (select distinct on (m.fan_in_id, m.place) m.fan_in_id, m.place, m.run_id, told.is_succeeded
          from unnest(%s::text[], %s::boolean[]) as told (run_id, is_succeeded)
          join event_store.fan_in_members as m using (run_id)
          where m.is_last or not told.is_succeeded
          order by m.fan_in_id, m.place, told.is_succeeded) as e
    where p.fan_in_id = e.fan_in_id and p.place = e.place and p.is_succeeded is null
    returning p.fan_in_id
"""
_COUNT: Final = """
    select fan_in_id, count(*), count(*) filter (where is_succeeded), count(*) filter (where not is_succeeded)
    from event_store.fan_in_places where fan_in_id = any(%s::text[]) group by fan_in_id
"""
_FORGET_MEMBERS: Final = f"""
    delete from event_store.fan_in_members where fan_in_id = %s and run_id in (
        select jsonb_array_elements_text(member)
        from event_store.task_events as declared, jsonb_array_elements(declared.data->'members') as member
        where declared.stream_id = %s and declared.version = {DECLARED})
"""  # noqa: S608  a constant
_FORGET_PLACES: Final = "delete from event_store.fan_in_places where fan_in_id = %s"
_RUN: Final = run_stream("")
_VALUES: Final = f"""
    select run.run_id, ended.data->>'result', payload.encoding, payload.body
    from unnest(%s::text[]) with ordinality as run (run_id, number)
    join event_store.task_events as ended
        on ended.stream_id = '{_RUN}' || run.run_id and ended.version = {SLOT_END}
    left join results.payloads as payload on payload.run_id = run.run_id
    order by run.number
"""  # noqa: S608  constants
_ERROR: Final = f"""
    select data->>'error_type', data->>'error' from event_store.task_events
    where stream_id = %s and version = {SLOT_END}
"""  # noqa: S608  a constant
_VALUES_AT_ONCE: Final = 100
"""Members whose values are read by one question; each may be as long as what is kept of a result."""
_OF_STORY: Final = f"""
    select declared.stream_id from event_store.task_events as declared
    where declared.metadata->>'correlation_id' = %s and declared.name = 'fan_in.declared'
      and declared.version = {DECLARED}
      and exists (select from jsonb_array_elements(declared.data->'members') as member where member ? %s)
    order by declared.position
"""  # noqa: S608  a constant
_BY_EVENT: Final = "select stream_id from event_store.task_events where event_id = %s"
_PLACES: Final = "select place, run_id, is_succeeded from event_store.fan_in_places where fan_in_id = %s order by place"


class Place(NamedTuple):
    """A member: its number from 0, the run that counts, and what became of it (None: nothing yet)."""

    number: int
    run_id: str
    is_succeeded: bool | None


def note_members(connection: Connection[Any], fan_in_id: str, members: Sequence[Sequence[str]]) -> None:
    """Note whom a fan-in waits for; a second time changes nothing."""
    links = [(run, place, run == member[-1]) for place, member in enumerate(members) for run in dict.fromkeys(member)]
    ids = [fan_in_id] * len(links)
    runs, places, lasts = ([link[n] for link in links] for n in range(3))
    connection.execute(_MEMBER, [runs, ids, places, lasts])
    numbers = list(range(len(members)))
    connection.execute(_PLACE, [[fan_in_id] * len(members), numbers, [member[-1] for member in members]])


def ends_of(connection: Connection[Any], run_ids: Collection[str]) -> dict[str, str]:
    """Names of the ends that runs have come to in the log, by run."""
    rows = connection.execute(_ENDED, [[run_stream(each) for each in run_ids]])
    return {stream.removeprefix(run_stream("")): name for stream, name in rows}


def note_ends(connection: Connection[Any], ends: Mapping[str, bool]) -> set[str]:
    """Note which runs have ended, and whether they succeeded; the fan-ins that this is news for."""
    return {row[0] for row in connection.execute(_NOTE, [list(ends), list(ends.values())])}


def forget(connection: Connection[Any], fan_in_id: str) -> None:
    """Wait for no member of a fan-in any longer: it is settled, and later ends are no news to it."""
    connection.execute(_FORGET_MEMBERS, [fan_in_id, fan_in_stream(fan_in_id)])
    connection.execute(_FORGET_PLACES, [fan_in_id])


def values(connection: Connection[Any], run_ids: Sequence[str]) -> Iterator[tuple[str, bytes | None]]:
    """What runs have returned, as JSON text, whole where it is kept beside the log; in the order of ``run_ids``."""
    for first in range(0, len(run_ids), _VALUES_AT_ONCE):
        for run_id, result, encoding, body in connection.execute(_VALUES, [run_ids[first : first + _VALUES_AT_ONCE]]):
            if body is not None:
                yield run_id, unpacked(encoding, body)
            else:
                yield run_id, None if result is None else result.encode()


def error_of(connection: Connection[Any], run_id: str) -> str:
    """How a run ended badly: the class of its error, and its text."""
    row = connection.execute(_ERROR, [run_stream(run_id)]).fetchone()
    kind, text = row or (None, None)
    return f"{kind or 'ended'}: {text or ''}"


def counts(connection: Connection[Any], fan_in_ids: Collection[str]) -> dict[str, Count]:
    """Their members by what became of them."""
    return {row[0]: Count(*row[1:]) for row in connection.execute(_COUNT, [list(fan_in_ids)])}


def places(connection: Connection[Any], fan_in_id: str) -> list[Place]:
    """Its members, in order."""
    with connection.cursor(row_factory=args_row(Place)) as cursor:
        return cursor.execute(_PLACES, [fan_in_id]).fetchall()


def fan_ins_of(connection: Connection[Any], run_id: str, *, story: str) -> list[str]:
    """Those of a story (its correlation id) that a run is a member of, or a link of a member, settled or not."""
    rows = connection.execute(_OF_STORY, [story, run_id])
    return [row[0].removeprefix(fan_in_stream("")) for row in rows]


def fan_in_told_by(connection: Connection[Any], event_id: UUID) -> str | None:
    """The fan-in whose event that is; None where it is another's, or nobody's."""
    row = connection.execute(_BY_EVENT, [event_id]).fetchone()
    prefix = fan_in_stream("")
    return row[0].removeprefix(prefix) if row is not None and row[0].startswith(prefix) else None
