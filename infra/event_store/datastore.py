"""The library's datastore on our connection strings: its own knows neither URIs nor TLS options."""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg_pool
from eventsourcing.postgres import PostgresDatastore
from psycopg import Connection
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from infra.database import parameters

POOL_WAIT_SECONDS = 10.0


class Datastore(PostgresDatastore):
    """A pool of connections in schema ``event_store``, opened when first used."""

    def __init__(self, database_url: str, *, name: str, connections: int) -> None:
        super().__init__("", "", "", "", "", schema="event_store", originator_id_type="text")
        self.pool.close()
        self.pool = psycopg_pool.ConnectionPool(  # type: ignore[assignment]  # the library's only adds a password callback
            parameters(database_url, name=name),
            kwargs={"autocommit": True, "row_factory": dict_row},
            min_size=1,
            max_size=connections,
            open=False,
            configure=_configure,
            check=psycopg_pool.ConnectionPool.check_connection,
            timeout=POOL_WAIT_SECONDS,
        )


def _configure(connection: Connection[Any]) -> None:
    set_json_loads(msgspec.json.decode, connection)
