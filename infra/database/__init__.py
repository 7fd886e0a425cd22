"""The PostgreSQL database: connections, migrations, leadership."""

from infra.database.connections import DatabaseUnreachableError, connect, engine, parameters
from infra.database.leadership import Leadership
from infra.database.migration import migrate

__all__ = ["DatabaseUnreachableError", "Leadership", "connect", "engine", "migrate", "parameters"]
