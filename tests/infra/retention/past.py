"""A story that is over: sessions of January, February and March, every one of them ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg

from domain.aggregate import Event
from domain.cause import Cause
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.license import License
from domain.session import Session
from infra import database
from infra.event_store import EventStore, Log, caused
from infra.events.finding import Verified
from infra.events.sealing import seal_all
from infra.events.seals import SealTable
from infra.events.verifying import verify
from infra.retention.parts import Part, parts
from infra.retention.reading import archived_events
from infra.settings import Settings
from projections.catalog import PROJECTIONS
from tasks.ingest.heartbeats import packed
from tests.projections.world import World

MONTHS = ("2026_01", "2026_02", "2026_03")


def license_of_all() -> License:
    """The license of every session."""
    return License.issue("l1", valid_until=datetime(2027, 1, 1, tzinfo=UTC), at=datetime(2026, 1, 1, tzinfo=UTC))


LICENSE = license_of_all()


def on(month: int, day: int = 10, *, seconds: float = 0) -> datetime:
    """Noon of a day in 2026, and so many seconds."""
    return datetime(2026, month, day, 12, tzinfo=UTC) + timedelta(seconds=seconds)


def session_of(month: int, *, ended: bool = True) -> list[Event]:
    """All that became of the session of a month: ``s<month>``."""
    began = Session.start(f"s{month}", under=LICENSE, default_patience=timedelta(minutes=6), at=on(month))
    if ended:
        began.end(reason="signed out", at=on(month, 11))
    return [event for event in began.collect_events() if isinstance(event, Event)]


class Past(NamedTuple):
    """A database with a story, and what looks at it.

    Attributes:
        settings: of it, with a directory for archives.
        connection: in autocommit.
        store: reads archives.
        world: for read models.
    """

    settings: Settings
    connection: psycopg.Connection[tuple[Any, ...]]
    store: EventStore
    world: World

    def tell(self, *beats: Heartbeat) -> None:
        """Heartbeats, as ingest stores them when they come together."""
        self.store.append_each(Log.HEARTBEATS, packed(beats))

    def month(self, number: int, *, batches: int = 6, session_ids: Sequence[str] = ()) -> None:
        """A month's session, heartbeats and log time."""
        self.record(Log.LICENSING, *session_of(number))
        for batch in range(batches):
            named = session_ids or (f"s{number}", f"other-{batch}")
            self.tell(*(Heartbeat(session_id, on(number, seconds=60 * batch)) for session_id in named))
        self.record(Log.HEARTBEATS, WatermarkPassed.at(on(number, 12), marker_id=uuid4()))

    def record(self, log: Log, *events: Event) -> None:
        """Facts, each of a cause of its own."""
        for event in events:
            self.store.append(log, caused([event], Cause(id=uuid4(), at=event.timestamp, actor="test")))

    def settle(self) -> None:
        """Seal what there is, and let projections look at everything."""
        for log in Log:
            list(seal_all(SealTable(self.connection), log, now=datetime.now(UTC), key=None))
        self.world.catch_up()

    def part(self, name: str) -> Part:
        """A part of the log."""
        return next(part for part in parts(self.connection) if part.name == name)

    def names(self) -> list[str]:
        """The names of the parts there are, up to March."""
        return [part.name for part in parts(self.connection) if part.name in MONTHS]

    def dump(self, projection: str = "sessions") -> object:
        """Everything in a projection's tables."""
        return self.world.dump(PROJECTIONS[projection].tables)

    def verified(self, log: Log = Log.HEARTBEATS) -> Verified:
        """The log compared with its seals."""
        return verify(SealTable(self.connection), log)

    def heartbeats(self) -> list[tuple[int, list[Heartbeat]]]:
        """Every batch there is to be read, page by page, with its position."""
        found: list[tuple[int, list[Heartbeat]]] = []
        position = 0
        while (page := self.store.read(Log.HEARTBEATS, after=position, limit=4)).position > position:
            position = page.position
            told = [(each.position, each.event) for each in page.events]
            found += [(at, list(event)) for at, event in told if isinstance(event, HeartbeatsReceived)]
        return found


@contextmanager
def opened(settings: Settings) -> Iterator[Past]:
    """A migrated database, whatever has happened in it."""
    url = settings.database_url.get_secret_value()
    engine = database.engine(settings, name="test")
    with (
        database.connect(settings, name="test") as connection,
        EventStore(url, name="test", archived=archived_events(settings.archive_dir)) as store,
        engine.connect() as asking,
    ):
        yield Past(settings, connection, store, World(store, asking))
    engine.dispose()


def tell(past: Past) -> None:
    """The story."""
    for number in (1, 2, 3, 4):
        past.connection.execute("select event_store.make_heartbeat_month(%s)", (on(number).date(),))
    past.record(Log.LICENSING, *(event for event in license_of_all().collect_events() if isinstance(event, Event)))
    for number in (1, 2, 3, 4):
        past.month(number)
        # Some come with what is of another month: from a clock that is behind, and from one that is ahead.
        past.tell(*(Heartbeat(f"s{number}", on(month, seconds=number)) for month in (1, 2, 3, 4)))
    past.settle()
