"""The library's datastore on our connections: its own knows neither URIs nor TLS options."""

from __future__ import annotations

from eventsourcing.postgres import PostgresDatastore

from infra.database import ConnectionPool, parameters


class Datastore(PostgresDatastore):
    """Hands out the connections of our own pool, in schema ``event_store``."""

    def __init__(self, database_url: str, *, name: str, connections: int) -> None:
        super().__init__("", "", "", "", "", schema="event_store", originator_id_type="text")
        self.pool: ConnectionPool = ConnectionPool(parameters(database_url, name=name), size=connections)  # type: ignore[assignment]

    def register_type_adapters(self) -> None:
        """Nothing: we send plain arrays, and making a store needs no database."""
