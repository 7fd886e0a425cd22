"""Lists over HTTP, a page at a time, the latest first."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from psycopg import sql
from psycopg.rows import dict_row

from infra.event_store import Log
from infra.web.operation import Call, Operation
from infra.web.role import Role
from projections.web.cursor import Cursor
from projections.web.parameters import Moment, Text
from projections.web.position import Position, await_position
from projections.web.run_states import IMPLIED

Limit = Annotated[int, msgspec.Meta(ge=1, le=500)]


class Runs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs."""

    task: Text | None = None
    state: Text | None = None
    tier: Text | None = None
    license_id: Text | None = None
    correlation_id: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    limit: Limit = 50
    min_position: Position | None = None


class Sessions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions."""

    license_id: Text | None = None
    state: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    limit: Limit = 50
    min_position: Position | None = None


class Licenses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which licenses."""

    state: Text | None = None
    policy: Text | None = None
    since: Moment | None = None
    until: Moment | None = None
    after: Annotated[str, msgspec.Meta(max_length=1000)] | None = None
    limit: Limit = 50
    min_position: Position | None = None


class Page(msgspec.Struct, frozen=True):
    """Rows, and where the next page begins (``after``); null: there is none."""

    rows: list[dict[str, Any]]
    next: str | None


class Listed(NamedTuple):
    """A view that is listed.

    Attributes:
        view: in schema `analytics`.
        columns: that are shown.
        key: names a row.
        time: the column that rows are ordered by.
        filters: columns that may be asked for.
        projection: that keeps it up.
        log: which positions of are waited for.
        told: columns with text that tasks bring along; secrets are hidden in it.
        implied: what is true, in SQL, of every row with a value in a column; said beside it, an index may serve.
    """

    view: str
    columns: tuple[str, ...]
    key: str
    time: str
    filters: tuple[str, ...]
    projection: str
    log: Log
    told: tuple[str, ...] = ()
    implied: Mapping[tuple[str, str], str] = {}

    def page(self, call: Call) -> Page:
        """The page that is asked for."""
        asked = msgspec.structs.asdict(call.query)
        limit = asked["limit"]
        with call.desk.reading() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await_position(connection, self.projection, self.log, asked["min_position"])
            values = {**asked, "most": limit + 1, **_place(asked)}
            # Planned for these values; as on the pages, a plan for any would read all that there is for a rare one.
            rows = cursor.execute(self._statement(asked), values, prepare=False).fetchall()
        for row in rows:
            row.update((name, call.desk.redact.value(row[name])) for name in self.told)
        following = None
        if len(rows) > limit:
            last = rows[limit - 1]
            following = Cursor(last[self.time], last[self.key]).text
        return Page(rows[:limit], following)

    def _statement(self, asked: Mapping[str, Any]) -> sql.Composed:
        """Only what is asked for is in it: the planner then knows which index serves."""
        time, key = sql.Identifier(self.time), sql.Identifier(self.key)
        wanted: list[sql.Composable] = [
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
            for name in self.filters
            if asked[name] is not None
        ]
        wanted += [sql.SQL(said) for (name, value), said in self.implied.items() if asked[name] == value]
        wanted.append(sql.SQL("{} is not null").format(time))
        if asked["since"] is not None:
            wanted.append(sql.SQL("{} >= {}").format(time, sql.Placeholder("since")))
        if asked["until"] is not None:
            wanted.append(sql.SQL("{} < {}").format(time, sql.Placeholder("until")))
        if asked["after"] is not None:
            wanted.append(
                sql.SQL("({}, {}) < ({}, {})").format(time, key, sql.Placeholder("at"), sql.Placeholder("key"))
            )
        return sql.SQL("select {} from {} where {} order by {} desc, {} desc limit {}").format(
            sql.SQL(", ").join(map(sql.Identifier, self.columns)),
            sql.Identifier("analytics", self.view),
            sql.SQL(" and ").join(wanted),
            time,
            key,
            sql.Placeholder("most"),
        )


def _place(asked: Mapping[str, Any]) -> dict[str, Any]:
    if asked["after"] is None:
        return {}
    cursor = Cursor.read(asked["after"])
    return {"at": cursor.at, "key": cursor.key}


RUNS: Final = Listed(
    view="fct_task_runs",
    columns=(
        *("run_id", "task", "tier", "priority", "state", "accepted_at", "published_at", "started_at", "ended_at"),
        *("attempt_count", "wait_seconds", "run_seconds", "error_type", "error", "license_id", "correlation_id"),
        *("trace_id", "worker"),
    ),
    key="run_id",
    time="accepted_at",
    filters=("task", "state", "tier", "license_id", "correlation_id"),
    projection="task_runs",
    log=Log.TASKS,
    told=("error",),
    implied={("state", state): said for state, said in IMPLIED.items()},
)
SESSIONS: Final = Listed(
    view="fct_sessions",
    columns=(
        *("session_id", "license_id", "state", "host", "started_at", "last_heartbeat_at", "heartbeat_count"),
        *("ended_at", "end_reason", "lapse_count", "resumed_at", "session_seconds"),
    ),
    key="session_id",
    time="started_at",
    filters=("license_id", "state"),
    projection="sessions",
    log=Log.LICENSING,
)
LICENSES: Final = Listed(
    view="dim_licenses",
    columns=(
        *("license_id", "state", "state_reason", "issued_at", "valid_until", "seats", "holder", "is_suspended"),
        *("is_admitting", "policy", "entitlements"),
    ),
    key="license_id",
    time="issued_at",
    filters=("state", "policy"),
    projection="licenses",
    log=Log.LICENSING,
)


def _operation(path: str, name: str, summary: str, query: type[msgspec.Struct], listed: Listed) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        role=Role.VIEWER,
        handle=listed.page,
        query=query,
        answer=Page,
        problems=(HTTPStatus.CONFLICT,),
    )


LISTS: Final = (
    _operation("/runs", "listRuns", "Runs, those accepted last first.", Runs, RUNS),
    _operation("/sessions", "listSessions", "Sessions, those started last first.", Sessions, SESSIONS),
    _operation("/licenses", "listLicenses", "Licenses, those issued last first.", Licenses, LICENSES),
)
