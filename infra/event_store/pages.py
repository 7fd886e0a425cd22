"""Pages of a log, whether its events are in the table or, dropped from it, in archives."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from psycopg import Connection

from infra.event_store.dropped import Archived, next_stretch
from infra.event_store.log import Log
from infra.event_store.log_table import Found, LogTable


class Wanted(NamedTuple):
    """A page that is asked for.

    Attributes:
        after: position after which to read.
        upto: position behind which not to read; the log is final up to there.
        limit: most rows to return.
        names: only events of these names; all where empty.
    """

    after: int
    upto: int
    limit: int
    names: Collection[str]


def rows(
    connection: Connection[Any], table: LogTable, log: Log, wanted: Wanted, *, archived: Archived
) -> tuple[list[Found], int]:
    """The rows of a page, and the position up to which everything has been looked at.

    Args:
        connection: in autocommit: each statement sees what is committed.
        table: the log's.
        log: which.
        wanted: the page.
        archived: who reads what was dropped.

    Raises:
        ArchiveMissingError: events that belong here were dropped, and their archive cannot be read.
    """
    upto = wanted.upto
    while True:
        found, position = _in_table(connection, table, wanted._replace(upto=upto))
        # Looked for once the rows are read: what is dropped before that is missing, what is dropped later is not.
        dropped = next_stretch(connection, log, after=wanted.after)
        if dropped is None or dropped.after_position >= position:
            return found, position
        if wanted.after >= dropped.after_position:
            return archived.page(dropped, **wanted._asdict())
        upto = dropped.after_position  # and again, for by now an earlier stretch may have been dropped


def _in_table(connection: Connection[Any], table: LogTable, wanted: Wanted) -> tuple[list[Found], int]:
    after, upto, limit, names = wanted
    if names:
        return table.page_of_names(connection, after=after, upto=upto, limit=limit, names=names)
    found = table.page(connection, after=after, upto=upto, limit=limit)
    return found, found[-1].position if len(found) == limit else upto
