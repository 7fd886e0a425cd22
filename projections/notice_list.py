"""A question about notices: plain SQL on a psycopg connection; `projections.queries` is the door."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row


class NoticeFilter(NamedTuple):
    """Which notices are meant; what is None does not matter.

    Attributes:
        state: ``sent``, ``refused`` or ``failed``.
        recipient: the address, in whatever case.
        template: the letter's name.
        license_id: whose business it is.
        since: the last outcome is from then or later.
    """

    state: str | None = None
    recipient: str | None = None
    template: str | None = None
    license_id: str | None = None
    since: datetime | None = None


def notices(connection: psycopg.Connection[Any], which: NoticeFilter, *, limit: int) -> list[dict[str, Any]]:
    """Rows of ``analytics.fct_notices``, the last outcome first; at most ``limit``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_NOTICES, {**which._asdict(), "limit": limit}).fetchall()


_NOTICES: Final = """
    select *
    from analytics.fct_notices
    where (%(state)s::text is null or state = %(state)s)
        and (%(recipient)s::text is null or lower(recipient) = lower(%(recipient)s))
        and (%(template)s::text is null or template = %(template)s)
        and (%(license_id)s::text is null or license_id = %(license_id)s)
        and (%(since)s::timestamptz is null or last_outcome_at >= %(since)s)
    order by last_outcome_at desc, notice_id
    limit %(limit)s
"""
