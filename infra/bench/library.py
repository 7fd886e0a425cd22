"""The peer: the stock ``eventsourcing`` application on its own PostgreSQL recorder, told the same facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from infra.bench.payload import session_starts


class StockSession(Aggregate):
    """A session in the library's idiom; its start says what ours says, with the envelope, which has no other place."""

    @event("Started")
    def __init__(
        self,
        *,
        session_id: str,
        license_id: str,
        rules: dict[str, Any],
        host: str | None,
        seat: int | None,
        seats: int | None,
        event_id: str,
        metadata: dict[str, str],
    ) -> None:
        self.session_id = session_id
        self.license_id = license_id
        self.rules = rules
        self.host = host
        self.seat = seat
        self.seats = seats
        self.event_id = event_id
        self.metadata = metadata
        self.last_heartbeat_at = datetime.now(UTC)

    @event("HeartbeatReceived")
    def receive_heartbeat(self, at: datetime) -> None:
        """Note a sign of life."""
        self.last_heartbeat_at = at


def library_environment(url: str) -> dict[str, str]:
    """How the library is told where its database is."""
    parts = urlsplit(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(parts.port or 5432),
        "POSTGRES_USER": unquote(parts.username or ""),
        "POSTGRES_PASSWORD": unquote(parts.password or ""),
        "POSTGRES_POOL_SIZE": "1",  # a writer needs no more, and sixteen of them share the server with others
    }


def make_table(url: str) -> None:
    """Have the library make its table: its processes would race for that."""
    Application(env=library_environment(url)).close()


class LibraryWriter:
    """Saves new sessions, or heartbeats of sessions it holds in memory: loading them is not asked of it."""

    def __init__(self, url: str) -> None:
        self._application: Application[Any] = Application(env={**library_environment(url), "CREATE_TABLE": "n"})

    def prepare(self, size: int) -> list[StockSession]:
        """So many sessions that have just started."""
        return [_started() for _ in range(size)]

    def commit(self, prepared: list[StockSession]) -> None:
        """Save them in one transaction."""
        self._application.save(*prepared)

    def close(self) -> None:
        """Close its connections."""
        self._application.close()


class LibraryHeartbeats(LibraryWriter):
    """A heartbeat is an event of its session's aggregate."""

    def prepare(self, size: int) -> list[StockSession]:
        """So many sessions that are known."""
        sessions = super().prepare(size)
        self._application.save(*sessions)
        return sessions

    def commit(self, prepared: list[StockSession]) -> None:
        """A heartbeat of each, saved in one transaction."""
        at = datetime.now(UTC)
        for session in prepared:
            session.receive_heartbeat(at)
        self._application.save(*prepared)


def _started() -> StockSession:
    (new,) = session_starts(1)
    return StockSession(**new.event.data(), event_id=str(new.event_id), metadata=new.metadata)
