"""Open dead letters that are alike: the same task and class of error, and the same text but for numbers and ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row, scalar_row

LETTERS_LOOKED_AT: Final = 20_000
"""Of more open letters than this, the latest are grouped."""
AT_ONCE: Final = 100
"""Letters that one form decides about; `ledgerq dlq` takes more."""


class LetterGroup(NamedTuple):
    """What its letters have in common.

    Attributes:
        task: the task.
        error_type: class of the error, or the broker's reason where no error is known.
        fingerprint: digest of the error's text without numbers and ids.
    """

    task: str
    error_type: str
    fingerprint: str

    @classmethod
    def read(cls, given: Mapping[str, str]) -> LetterGroup | None:
        """The group that a query or form names; None: it names none."""
        named = {name: given.get(name, "") for name in cls._fields}
        return cls(**named) if named["fingerprint"] else None


def letter_groups(connection: psycopg.Connection[Any], *, task: str | None = None) -> list[dict[str, Any]]:
    """Groups with how many letters, the first and last time, and a sample; the largest first, at most 200."""
    asked = {"task": task, "most": LETTERS_LOOKED_AT}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_GROUPS, asked).fetchall()


def letters_of(connection: psycopg.Connection[Any], group: LetterGroup, *, limit: int) -> list[str]:
    """Run ids of open letters of a group, the oldest first; at most so many."""
    asked = {**group._asdict(), "most": LETTERS_LOOKED_AT, "limit": limit}
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(_LETTERS, asked).fetchall()


_OPEN: Final = r"""
    with alike as (
        select run_id, coalesce(task, '') as task, coalesce(error_type, reason, '') as error_type, error, queue,
               dead_lettered_at,
               md5(regexp_replace(left(coalesce(error, ''), 300),
                                  '[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|0x[0-9a-fA-F]+|[0-9]+', '#', 'g')) as fingerprint
        from read_model.dead_letters
        where dead_lettered_at is not null and decision is null
            and (%(task)s::text is null or task = %(task)s)
        order by dead_lettered_at desc
        limit %(most)s
    )
"""
_GROUPS: Final = f"""
    {_OPEN}
    select task, error_type, fingerprint, count(*) as letters,
           min(dead_lettered_at) as first_at, max(dead_lettered_at) as last_at,
           (array_agg(run_id order by dead_lettered_at desc))[1] as sample_run_id,
           (array_agg(error order by dead_lettered_at desc))[1] as sample_error,
           (array_agg(queue order by dead_lettered_at desc))[1] as sample_queue
    from alike
    group by task, error_type, fingerprint
    order by letters desc, last_at desc
    limit 200
"""  # noqa: S608  our own text
_LETTERS: Final = f"""
    {_OPEN}
    select run_id
    from alike
    where error_type = %(error_type)s and fingerprint = %(fingerprint)s
    order by dead_lettered_at, run_id
    limit %(limit)s
"""  # noqa: S608  our own text
