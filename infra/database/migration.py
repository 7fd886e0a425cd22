"""Migrations: alembic, configured here, without a file at the root."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import psycopg

from infra.database.connections import connect, engine
from infra.database.errors import DatabaseUnreachableError, database_faults
from infra.database.leadership import RETRY_SECONDS, lock_key
from infra.settings import Settings

SCRIPTS: Final = Path(__file__).parents[1] / "migrations"
HEAD: Final = "head"


class SchemaTooNewError(Exception):
    """The database's schema is of a later release than this code."""


def migrate(settings: Settings, *, to: str = HEAD) -> str:
    """Bring the schema to revision ``to``; several processes may ask at once, one does it and the others wait.

    Returns:
        the revision that the schema is at.

    Raises:
        DatabaseUnreachableError: there is no connection to be had.
        SchemaTooNewError: a later release has migrated this database.
    """
    found = revision(settings)
    newest = newest_revision()
    if found is not None and found > newest:
        raise SchemaTooNewError(f"the schema is at {found} and this release knows {newest} as the newest")
    asked = newest if to == HEAD else to
    if found is None or found < asked:
        _upgrade(settings, asked)
    return max(found or asked, asked)


def revision(settings: Settings) -> str | None:
    """The revision that the schema is at; None where it has never been migrated.

    Raises:
        DatabaseUnreachableError: there is no connection to be had.
    """
    with connect(settings, name="migration") as connection, database_faults(connection):
        try:
            row = connection.execute("select version_num from event_store.schema_version").fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return None
    return str(row[0]) if row else None


def newest_revision() -> str:
    """The newest revision there is a file for; asked without loading alembic, for mostly there is nothing to do."""
    return max(path.name.partition("_")[0] for path in (SCRIPTS / "versions").glob("[0-9]*_*.py"))


def run_sql(file: str, **names: str) -> None:
    """Execute the SQL file that lies beside the versions; called from a migration.

    Args:
        file: its name without ``.sql``.
        names: what ``<key>`` stands for in it.
    """
    from alembic import op  # noqa: PLC0415  exists only while a migration runs

    sql = (SCRIPTS / "versions" / f"{file}.sql").read_text(encoding="utf-8")
    for key, value in names.items():
        sql = sql.replace(f"<{key}>", value)
    driver = op.get_bind().connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise TypeError(f"psycopg is the driver here, not {type(driver).__name__}")
    driver.execute(sql.encode())


def _upgrade(settings: Settings, asked: str) -> None:
    import sqlalchemy  # noqa: PLC0415  half a second that is spent only where there is something to do
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    migrating = engine(settings, name="migration", connections=1)
    try:
        with migrating.connect() as connection:
            # Asked again and again: a statement that waited would hold a snapshot, for whose end making an index waits.
            turn = sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(lock_key("migration")))
            while not connection.execute(turn).scalar_one():
                connection.commit()
                time.sleep(RETRY_SECONDS)
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, asked)
            connection.commit()
    except sqlalchemy.exc.OperationalError as error:
        raise DatabaseUnreachableError(str(error.orig).strip()) from error
    finally:
        migrating.dispose()  # ends the session and with it the lock
