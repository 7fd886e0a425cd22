"""Retaining: archives and drops what may go, one part after another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from infra.events.archive import ArchiveUnreadableError
from infra.events.archiving import ArchiveRefusedError, EventsDroppedError
from infra.retention.dropping import Dropped, LogInUseError, PartGrewError, PartNotArchivedError, drop
from infra.retention.leaves import PartDoubtfulError, keep_leaves
from infra.retention.parts import Part
from infra.retention.shelf import ShelfTakenError, Shelved, shelve
from infra.settings import Settings
from tasks.retention.judging import LOG, Standing, judge

LEADERSHIP: Final = "retention"
"""One process at a time archives and drops."""


class RetentionRefusedError(Exception):
    """A part was to go and did not; the text says why. What was archived before stays archived."""


Told = Shelved | Dropped


def retain(
    connection: Connection[Any],
    settings: Settings,
    *,
    by: str,
    tell: Callable[[Told], None],
    watch: Callable[[], None] = lambda: None,
) -> list[Standing]:
    """Archive and drop every part that may go.

    Args:
        connection: in autocommit, of who leads :data:`LEADERSHIP`.
        settings: how long heartbeats are kept, and where archives go.
        by: who asks.
        tell: called with every archive that was written and every part that was dropped.
        watch: called again and again while something is archived; may raise to interrupt.

    Returns:
        the parts that stay, with what keeps them.

    Raises:
        RetentionRefusedError: a part that may go could not be archived or dropped.
    """
    standings = judge(connection, settings, now=datetime.now(UTC))
    for standing in standings:
        if not standing.reasons and settings.archive_dir is not None:
            try:
                _archive(connection, standing.part, settings.archive_dir, tell=tell, watch=watch)
                _drop(connection, settings, standing.part, by=by, tell=tell)
            except _REFUSALS as error:
                raise RetentionRefusedError(f"{standing.part.name}: {error}") from error
    return [standing for standing in standings if standing.reasons]


def _archive(
    connection: Connection[Any], part: Part, directory: Path, *, tell: Callable[[Told], None], watch: Callable[[], None]
) -> None:
    if not directory.is_dir():
        raise NotADirectoryError(f"there is no directory {directory} (LEDGERQ_ARCHIVE_DIR)")
    for shelved in shelve(connection, LOG, upto=part.last_position or 0, directory=directory, watch=watch):
        tell(shelved)
    keep_leaves(connection, LOG, part, watch=watch)


def _drop(
    connection: Connection[Any], settings: Settings, part: Part, *, by: str, tell: Callable[[Told], None]
) -> None:
    """Look again, for archiving takes its time, and drop."""
    now = datetime.now(UTC)
    again = next((each for each in judge(connection, settings, now=now) if each.part.name == part.name), None)
    if again is None:
        raise PartGrewError("somebody else has dropped it")
    if again.reasons:
        raise RetentionRefusedError("; ".join(again.reasons))
    tell(drop(connection, LOG, part, by=by))


_REFUSALS: Final = (
    ArchiveRefusedError,
    ArchiveUnreadableError,
    EventsDroppedError,
    LogInUseError,
    OSError,
    PartDoubtfulError,
    PartGrewError,
    PartNotArchivedError,
    ShelfTakenError,
    RetentionRefusedError,
)
