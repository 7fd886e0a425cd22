"""What is kept of events that are to be dropped: their digests, so that the seals over them can be computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from psycopg import Connection
from psycopg.sql import SQL, Composed

from infra.event_store.log import Log
from infra.events.seal import KEPT_BYTES, LEAF_SQL, Leaf, Seal, pack_whole
from infra.events.seals import SealTable
from infra.retention.parts import Part

PAGE_SEALS: Final = 100

_LEAVES: Final = f"""
    select position, {LEAF_SQL} from {{part}} where position > %s and position <= %s order by position
"""  # noqa: S608  constants
_KEPT: Final = "select coalesce(max(number), 0) from event_store.dropped_leaves where log = %s and part = %s"
_COUNTS: Final = """
    select (select count(*) from {part} where position <= %s), (
        select coalesce(sum(octet_length(leaves) / 40), 0) from event_store.dropped_leaves where log = %s and part = %s
    )
"""
_KEEP: Final = """
    insert into event_store.dropped_leaves (log, part, number, upto_position, leaves) values (%s, %s, %s, %s, %s)
"""


class PartDoubtfulError(Exception):
    """An event of a part is not the one that was sealed; nothing of the part may be dropped."""


def keep_leaves(connection: Connection[Any], log: Log, part: Part, *, watch: Callable[[], None] = lambda: None) -> None:
    """Write down the digests of a part's events, seal by seal; goes on where it was interrupted.

    Args:
        connection: in autocommit; one process at a time.
        log: the part's.
        part: not empty, and sealed.
        watch: called again and again; may raise to interrupt.

    Raises:
        PartDoubtfulError: an event is not the one that was sealed, or there are others than those that are sealed.
    """
    if part.first_position is None or part.last_position is None:
        raise ValueError(f"{part.name} is empty")
    seals = SealTable(connection)
    ((kept,),) = connection.execute(_KEPT, (log.value, part.name)).fetchall()
    after = max(int(kept), seals.number_at(log, part.first_position - 1))
    query = SQL(_LEAVES).format(part=part.table)
    for page in _pages(seals, log, after=after, upto=part.last_position):
        watch()
        rows = [
            (log.value, part.name, seal.number, seal.upto_position, pack_whole(leaves))
            for seal, leaves in _of_part(connection, query, page)
        ]
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_KEEP, rows)
    values = (part.last_position, log.value, part.name)
    ((there, known),) = connection.execute(SQL(_COUNTS).format(part=part.table), values).fetchall()
    if there != known:
        raise PartDoubtfulError(
            f"{part.name} of log {log.value} has {there:,} events, and {known:,} digests were kept of it: some were put"
            " back or removed meanwhile"
        )


def _pages(seals: SealTable, log: Log, *, after: int, upto: int) -> Iterator[list[Seal]]:
    """The seals after a number until one covers a position."""
    page: list[Seal] = []
    for seal in seals.all(log, after_number=after):
        if seal.after_position >= upto:
            break
        page.append(seal)
        if len(page) == PAGE_SEALS:
            yield page
            page = []
    if page:
        yield page


def _of_part(connection: Connection[Any], query: Composed, page: list[Seal]) -> Iterator[tuple[Seal, list[Leaf]]]:
    """Each seal of a page that covers events of the part, with those."""
    with connection.cursor(binary=True) as cursor:
        found = [
            Leaf(*row) for row in cursor.execute(query, (page[0].after_position, page[-1].upto_position)).fetchall()
        ]
    rest = iter(found)
    leaf = next(rest, None)
    for seal in page:
        leaves = []
        while leaf is not None and leaf.position <= seal.upto_position:
            leaves.append(leaf)
            leaf = next(rest, None)
        if leaves:
            _check(seal, leaves)
            yield seal, leaves


def _check(seal: Seal, leaves: list[Leaf]) -> None:
    sealed = seal.kept()
    for leaf in leaves:
        if sealed.get(leaf.position) != leaf.digest[:KEPT_BYTES]:
            raise PartDoubtfulError(
                f"the event at position {leaf.position} of log {seal.log.value} is not the one that was sealed:"
                " ledgerq events verify"
            )
