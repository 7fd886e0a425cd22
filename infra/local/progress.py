"""Live progress of a run: one line that changes on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Final

import click
import psycopg

PLAIN_INTERVAL_SECONDS: Final = 3.0
TERMINAL_INTERVAL_SECONDS: Final = 0.5
_NUMBERS: Final = """
    select (select count(*) from analytics.dim_licenses),
           (select count(*) from analytics.fct_sessions),
           (select count(*) from analytics.fct_sessions where state = 'active'),
           (select count(*) from analytics.fct_task_runs),
           (select count(*) from analytics.fct_task_runs where ended_at is not null)
"""


class Progress:
    """Tells what is going on, from the analytics views."""

    def __init__(self) -> None:
        self._url: str | None = None
        self._connection: psycopg.Connection | None = None
        self._began = time.monotonic()
        self._shown_at = 0.0
        self._terminal = sys.stdout.isatty()
        self._open_line = False

    def follow(self, database_url: str) -> None:
        """Read the numbers from this database from now on."""
        self._url = database_url

    def tell(self, line: str) -> None:
        """Print a line that stays."""
        self._end_line()
        click.echo(f"{self._elapsed()}  {line}")

    def show(self) -> None:
        """Print or redraw the numbers, if it is time to."""
        interval = TERMINAL_INTERVAL_SECONDS if self._terminal else PLAIN_INTERVAL_SECONDS
        if time.monotonic() - self._shown_at < interval:
            return
        self._shown_at = time.monotonic()
        line = self._numbers()
        if line and self._terminal:
            click.echo(f"\r\033[K{self._elapsed()}  {line}", nl=False)
            self._open_line = True
        elif line:
            click.echo(f"{self._elapsed()}  {line}")

    def close(self) -> None:
        """End the changing line and close the connection."""
        self._end_line()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _numbers(self) -> str | None:
        if self._url is None:
            return None
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=2)
            row = self._connection.execute(_NUMBERS).fetchone()
        except psycopg.OperationalError:  # the database may just be on its way back; the next look tells
            self._connection = None
            return None
        if row is None:
            return None
        licenses, sessions, active, accepted, ended = row
        return f"{licenses} licenses · {sessions} sessions, {active} active · {accepted} tasks accepted, {ended} ended"

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:5.1f} s"

    def _end_line(self) -> None:
        if self._open_line:
            click.echo()
            self._open_line = False
