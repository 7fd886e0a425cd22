"""Questions about dead letters and replays: plain SQL on a psycopg connection; `projections.queries` is the door."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import class_row, dict_row


class LetterFilter(NamedTuple):
    """Which dead letters are meant; what is None or empty does not matter.

    Attributes:
        run_ids: these runs only.
        task: the task's name, ``*`` for any characters, ``?`` for one.
        error: a part of the error's class or text, in whatever case.
        queue: the queue it died in.
        license_id: whose business it is.
        since: dead-lettered then or later.
        until: dead-lettered before then.
        states: what was decided about it: ``open``, ``replayed``, ``discarded``.
        below_generation: only what fewer replays led to.
    """

    run_ids: tuple[str, ...] = ()
    task: str | None = None
    error: str | None = None
    queue: str | None = None
    license_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: tuple[str, ...] = ("open",)
    below_generation: int | None = None

    def as_values(self) -> dict[str, Any]:
        """What was asked for, without what does not matter, as JSON can hold it."""
        named = self._asdict()
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in named.items()
            if value not in (None, ())
        }


class LetterRow(NamedTuple):
    """A dead letter as ``analytics.fct_dead_letters`` has it."""

    run_id: str
    task: str | None
    reason: str | None
    queue: str | None
    priority: int | None
    dead_lettered_at: datetime
    end_state: str | None
    error_type: str | None
    error: str | None
    letter_state: str
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None
    replay_id: str | None
    new_run_id: str | None
    replay_of: str | None
    generation: int
    license_id: str | None
    attempt_count: int | None
    worker: str | None
    code_version: str | None
    trace_id: str | None


def dead_letters(
    connection: psycopg.Connection[Any], which: LetterFilter, *, limit: int, newest_first: bool = False
) -> list[LetterRow]:
    """The dead letters that are meant, in order of time; at most ``limit``."""
    query = _LETTERS + (_NEWEST_FIRST if newest_first else _OLDEST_FIRST)
    with connection.cursor(row_factory=class_row(LetterRow)) as cursor:
        return cursor.execute(query, {**_values(which), "limit": limit}).fetchall()


def count_dead_letters(connection: psycopg.Connection[Any], which: LetterFilter) -> int:
    """How many dead letters are meant."""
    row = connection.execute(_COUNT, _values(which)).fetchone()
    return int(row[0]) if row else 0


def replays(connection: psycopg.Connection[Any], *, limit: int) -> list[dict[str, Any]]:
    """Batches of replays, the newest first; at most ``limit``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_REPLAYS, {"limit": limit}).fetchall()


def replayed_runs(connection: psycopg.Connection[Any], replay_id: str) -> list[dict[str, Any]]:
    """What a batch replayed and what became of it, in order of time."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_REPLAYED, {"replay_id": replay_id}).fetchall()


class FailureCount(NamedTuple):
    """Ends that were no success, in the last window before ``before`` that had any.

    Attributes:
        window_start: beginning of that window.
        failures: how many runs ended badly in it.
    """

    window_start: datetime
    failures: int


def failures_in_last_window(
    connection: psycopg.Connection[Any], task: str, *, before: datetime, window: timedelta
) -> FailureCount | None:
    """The window before ``before`` in which runs of ``task`` last ended badly; None where none did.

    Args:
        connection: to the read models.
        task: the task's name.
        before: beginning of a window.
        window: length of the windows, which are counted from 1970.
    """
    asked = {"task": task, "before": before, "window": window}
    with connection.cursor(row_factory=class_row(FailureCount)) as cursor:
        return cursor.execute(_LAST_WINDOW, asked).fetchone()


def like_pattern(glob: str) -> str:
    """The pattern of SQL's ``LIKE`` for a shell-like one of ``*`` and ``?``."""
    return _escaped(glob).replace("*", "%").replace("?", "_")


def contains(text: str) -> str:
    """The pattern of SQL's ``LIKE`` for what has a text in it."""
    return f"%{_escaped(text)}%"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _values(which: LetterFilter) -> dict[str, Any]:
    runs: Sequence[str] | None = list(which.run_ids) or None
    return {
        **which._asdict(),
        "run_ids": runs,
        "task": None if which.task is None else like_pattern(which.task),
        "error": None if which.error is None else contains(which.error),
        "states": list(which.states) or None,
    }


_WHERE: Final = """
    from analytics.fct_dead_letters
    where (%(run_ids)s::text[] is null or run_id = any(%(run_ids)s::text[]))
      and (%(task)s::text is null or task like %(task)s)
      and (%(error)s::text is null or error_type ilike %(error)s or error ilike %(error)s)
      and (%(queue)s::text is null or queue = %(queue)s)
      and (%(license_id)s::text is null or license_id = %(license_id)s)
      and (%(since)s::timestamptz is null or dead_lettered_at >= %(since)s)
      and (%(until)s::timestamptz is null or dead_lettered_at < %(until)s)
      and (%(states)s::text[] is null or letter_state = any(%(states)s::text[]))
      and (%(below_generation)s::integer is null or generation < %(below_generation)s)
"""
_LETTERS: Final = f"""
    select {", ".join(LetterRow._fields)}
    {_WHERE}
"""
_OLDEST_FIRST: Final = " order by dead_lettered_at, run_id limit %(limit)s"
_NEWEST_FIRST: Final = " order by dead_lettered_at desc, run_id limit %(limit)s"
_COUNT: Final = f"select count(*) {_WHERE}"
_REPLAYS: Final = "select * from analytics.fct_replays order by requested_at desc nulls first limit %(limit)s"
_REPLAYED: Final = """
    select * from analytics.fct_replayed_runs where replay_id = %(replay_id)s order by replayed_at, run_id
"""
_LAST_WINDOW: Final = """
    with bad as (
        select date_bin(%(window)s, ended_at, 'epoch'::timestamptz) as window_start
        from read_model.dead_letters
        where task = %(task)s and ended_at < %(before)s and end_state not in ('revoked', 'expired')
    )
    select window_start, count(*) as failures from bad group by window_start order by window_start desc limit 1
"""
