"""Migrations: alembic, configured here, without a file at the root."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy
from alembic import command
from alembic.config import Config

from infra.database.connections import DatabaseUnreachableError, engine
from infra.settings import Settings

SCRIPTS: Final = Path(__file__).parents[1] / "migrations"
_LOCK: Final = 51_507_999


def migrate(settings: Settings, *, to: str = "head") -> None:
    """Bring the schema to revision ``to``; several processes may ask at once, one does it.

    Raises:
        DatabaseUnreachableError: there is no connection to be had.
    """
    migrating = engine(settings, name="migration", connections=1)
    try:
        with migrating.connect() as connection:
            connection.execute(sqlalchemy.text("select pg_advisory_lock(:key)"), {"key": _LOCK})
            connection.commit()
            config = Config()
            config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, to)
            connection.commit()
    except sqlalchemy.exc.OperationalError as error:
        raise DatabaseUnreachableError(str(error.orig).strip()) from error
    finally:
        migrating.dispose()  # ends the session and with it the lock


def run_sql(version: str) -> None:
    """Execute the SQL file that lies beside the migration ``version`` under the same name."""
    from alembic import op  # noqa: PLC0415  exists only while a migration runs

    sql = (SCRIPTS / "versions" / f"{version}.sql").read_text()
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("a migration runs on a connection")
    connection.execute(sql)  # psycopg itself: many statements, and % means %
