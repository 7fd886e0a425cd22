"""A question about webhook deliveries: plain SQL on a psycopg connection; `projections.queries` is the door."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.rows import dict_row


class DeliveryFilter(NamedTuple):
    """Which deliveries are meant; what is None does not matter.

    Attributes:
        endpoint: to whom.
        delivery_id: which one.
        outcome: of the last attempt: ``succeeded``, ``failed``, ``withheld``.
        since: the last attempt is from then or later.
        is_over: whether no attempt is to follow by itself.
    """

    endpoint: str | None = None
    delivery_id: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    is_over: bool | None = None


def webhook_deliveries(
    connection: psycopg.Connection[Any], which: DeliveryFilter, *, limit: int
) -> list[dict[str, Any]]:
    """The last attempt of each delivery, the latest first; at most ``limit``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_DELIVERIES, {**which._asdict(), "limit": limit}).fetchall()


_DELIVERIES: Final = """
    select * from (
        select distinct on (delivery_id) *
        from analytics.fct_webhook_deliveries
        where (%(endpoint)s::text is null or endpoint = %(endpoint)s)
            and (%(delivery_id)s::text is null or delivery_id = %(delivery_id)s)
        order by delivery_id, number desc
    ) last
    where (%(outcome)s::text is null or outcome = %(outcome)s)
        and (%(since)s::timestamptz is null or attempted_at >= %(since)s)
        and (%(is_over)s::boolean is null or (next_attempt_at is null) = %(is_over)s)
    order by attempted_at desc, delivery_id
    limit %(limit)s
"""
