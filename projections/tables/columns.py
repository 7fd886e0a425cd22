"""What the tables of schema ``read_model`` are declared with."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TIMESTAMP

SCHEMA: Final = "read_model"
METADATA: Final = sa.MetaData(schema=SCHEMA)


def text(name: str, **options: Any) -> sa.Column[str]:
    """A column of text."""
    return sa.Column(name, sa.Text(), **options)


def moment(name: str, **options: Any) -> sa.Column[Any]:
    """A column of moments, with their zone."""
    return sa.Column(name, TIMESTAMP(timezone=True), **options)


def seconds(name: str, **options: Any) -> sa.Column[float]:
    """A column of lengths of time, in seconds."""
    return sa.Column(name, sa.Double(), **options)


def count(name: str) -> sa.Column[int]:
    """A column that counts from 0."""
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))
