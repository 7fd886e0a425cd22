"""What task code is given to work with: built once per process, on first use.

A pool child is a fork of the worker's main process, and neither a socket nor a connection pool survives a fork; so what
was built before one is forgotten, never closed, in the child.
"""

from __future__ import annotations

import os
from functools import cached_property

from sqlalchemy import Engine

from infra import database
from infra.event_store import EventStore
from infra.settings import Settings, load_settings


class Wiring:
    """The process's settings and its ways to the database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()

    @cached_property
    def store(self) -> EventStore:
        """The event store, with two connections of its own."""
        return EventStore(self.settings.database_url.get_secret_value(), connections=2, name="ledgerq task")

    @cached_property
    def engine(self) -> Engine:
        """SQLAlchemy engine for reading the read models."""
        return database.engine(self.settings, name="ledgerq task")


_wired: Wiring | None = None


def wiring() -> Wiring:
    """This process's wiring, from the environment's settings.

    Raises:
        SettingsError: a setting is unknown or has a value that is not allowed.
    """
    global _wired  # noqa: PLW0603  one per process is the point
    if _wired is None or _wired.pid != os.getpid():
        _wired = Wiring(load_settings())
    return _wired
