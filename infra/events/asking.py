"""What the commands about events share: their options, and who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from infra.database.door import connected
from infra.event_store.log import Log
from infra.events.archive import ArchiveUnreadableError
from infra.events.archive_reading import ArchiveReader
from infra.events.as_of import AsOf, By
from infra.events.reading import LogReader
from infra.moments import moment

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
json_option: Final[Option] = click.option("--json", "as_json", is_flag=True, help="JSON lines, for programs.")
log_option: Final[Option] = click.option(
    "--log", "logs", type=click.Choice([log.value for log in Log]), multiple=True, help="This log only. Default: all."
)
archive_option: Final[Option] = click.option(
    "--archive",
    "archives",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="Read this archive, not the database; may be given again.",
)


def chosen(logs: tuple[str, ...]) -> list[Log]:
    """The logs that the option names; all where it names none."""
    return [log for log in Log if log.value in logs or not logs]


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)


def as_of_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--as-of`` and ``--by``; :func:`asked_as_of` reads them."""
    choices = click.Choice([each.value for each in By])
    by = click.option("--by", type=choices, help="Which time counts. Default: occurred.")
    help_ = "As it was then: 2h ago, 30m, 7d, or a date and time (ISO 8601; UTC)."
    return click.option("--as-of", "as_of", metavar="WHEN", help=help_)(by(command))


def asked_as_of(as_of: str | None, by: str | None) -> AsOf | None:
    """The instant that the options say; None where none is asked for.

    Raises:
        click.UsageError: they say no instant, or only by which time.
    """
    instant = moment(as_of, now=now(), option="--as-of")
    if instant is None and by is not None:
        raise click.UsageError("--by says which time counts for --as-of, which is missing")
    return None if instant is None else AsOf(instant, By(by or By.OCCURRED))


@contextmanager
def opened(name: str, archives: tuple[Path, ...]) -> Iterator[LogReader | ArchiveReader]:
    """What answers questions about events: the archives, if any are given, else the database.

    Raises:
        click.ClickException: a file is no archive.
    """
    if not archives:
        with connected(name) as connection:
            yield LogReader(connection)
        return
    try:
        yield ArchiveReader(archives)
    except ArchiveUnreadableError as error:
        raise click.ClickException(str(error)) from error
