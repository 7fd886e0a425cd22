"""The PostgreSQL database: connections, migrations, leadership."""

from infra.database.connections import connect, engine, parameters
from infra.database.errors import DatabaseUnreachableError
from infra.database.leadership import Leadership
from infra.database.migration import SchemaTooNewError, migrate
from infra.database.pool import ConnectionPool

__all__ = [
    "ConnectionPool",
    "DatabaseUnreachableError",
    "Leadership",
    "SchemaTooNewError",
    "connect",
    "engine",
    "migrate",
    "parameters",
]
