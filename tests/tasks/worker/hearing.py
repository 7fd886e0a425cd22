"""The database that workers look into: whether they have looked, and when it is away."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from infra.settings import Settings
from tests.tasks.worker.lab import Lab
from tests.waiting import eventually

_LOOKS = """
    select count(*), min(query_start) from pg_stat_activity
    where datname = current_database() and application_name = %s
"""


def until_heard(lab: Lab, workers: int = 1, *, of: str = "directives") -> None:
    """Until all workers have heard of everything that is in the log now: of directives, or of licenses."""
    with psycopg.connect(lab.settings.database_url.get_secret_value(), autocommit=True) as connection:
        for _ in range(2):  # a look that has begun may have read the log already
            row = connection.execute("select clock_timestamp()").fetchone()
            assert row is not None

            def looked(since: object = row[0]) -> bool:
                found = connection.execute(_LOOKS, [f"ledgerq worker {of}"]).fetchone()
                assert found is not None
                return bool(found[0] == workers and found[1] > since)

            eventually(looked)


@contextmanager
def database_away(lab: Lab, servers: Settings) -> Iterator[None]:
    """The lab's database takes no connections, and ends those there are."""
    name = psycopg.conninfo.conninfo_to_dict(lab.settings.database_url.get_secret_value())["dbname"]
    allow = sql.SQL("alter database {} allow_connections {}")
    with psycopg.connect(servers.database_url.get_secret_value(), autocommit=True) as administrator:
        administrator.execute(allow.format(sql.Identifier(str(name)), sql.SQL("false")))
        administrator.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        try:
            yield
        finally:
            administrator.execute(allow.format(sql.Identifier(str(name)), sql.SQL("true")))
