"""Asking the read models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Engine


@contextmanager
def read_models(engine: Engine) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the read models for one transaction, as `projections.queries` takes it."""
    with engine.begin() as transaction:
        connection = transaction.connection.driver_connection
        if not isinstance(connection, psycopg.Connection):
            raise TypeError(f"psycopg is the driver here, not {type(connection).__name__}")
        yield connection
