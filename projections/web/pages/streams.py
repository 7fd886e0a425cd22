"""The logs: what was stored last, and the events of one stream."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from psycopg import sql

from infra.event_store import EventUnreadableError, Log
from infra.web.page import Drawn, Visit
from infra.web.problem import Problem
from projections.web.pages import asked

ROWS: Final = 50
LOGS: Final = tuple(log.value for log in Log)
FILTERS: Final = ("log", "name", "stream", "before")
MOST_EVENTS: Final = 500
"""Of one stream, that are shown."""


def show(visit: Visit) -> Drawn:
    """The tail of a log, the latest first."""
    log = Log(asked.chosen(visit.query, "log", LOGS) or Log.TASKS)
    values = {
        "name": asked.text(visit.query, "name"),
        "stream": asked.text(visit.query, "stream"),
        "before": asked.whole(visit.query, "before"),
        "most": ROWS + 1,
    }
    wanted = ["true", *(["name = %(name)s"] if values["name"] else [])]
    wanted += ["stream_id = %(stream)s"] if values["stream"] else []
    wanted += ["position < %(before)s"] if values["before"] is not None else []
    statement = sql.SQL(
        "select position, stream_id, name, version, occurred_at, recorded_at, metadata ->> 'actor' as actor"
        " from {} where {} order by position desc limit %(most)s"
    ).format(sql.Identifier("event_store", log.table), sql.SQL(" and ").join([sql.SQL(each) for each in wanted]))
    with visit.desk.reading() as connection:
        rows = asked.ask(connection, statement, values)
    given = {name: visit.query.get(name, "") for name in FILTERS}
    before = rows[ROWS - 1]["position"] if len(rows) > ROWS else None
    return Drawn(
        "streams.html",
        {"rows": rows[:ROWS], "given": given, "log": log.value, "logs": LOGS, "before": before},
    )


def show_one(visit: Visit) -> Drawn:
    """The events of one stream, in order of version, with all that they say.

    Raises:
        Problem: there is no such log, or no event of such a stream.
    """
    log, stream_id = visit.path["log"], visit.path["stream_id"]
    if log not in LOGS:
        raise Problem(HTTPStatus.NOT_FOUND, f"no log {log!r}; there are {', '.join(LOGS)}")
    try:
        recorded = visit.desk.store.load_recorded(Log(log), [stream_id]).get(stream_id, [])
    except EventUnreadableError as error:
        raise Problem(HTTPStatus.CONFLICT, str(error), code="event_unreadable") from error
    if not recorded:
        raise Problem(HTTPStatus.NOT_FOUND, f"log {log} has no event of a stream {stream_id}")
    events = [
        {
            "name": each.event.name,
            "version": each.event.originator_version,
            "position": each.position,
            "at": each.event.timestamp,
            "metadata": dict(each.metadata),
            "data": _plain(each.event.data()),
        }
        for each in recorded[-MOST_EVENTS:]
    ]
    return Drawn("stream.html", {"log": log, "stream_id": stream_id, "events": events, "count": len(recorded)})


def _plain(data: dict[str, Any]) -> Any:
    return msgspec.to_builtins(data, str_keys=True, enc_hook=str)
