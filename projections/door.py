"""What the commands about read models share: the names of projections, and what is said where the database is shut."""

from __future__ import annotations

from functools import partial
from typing import Final

import click

from infra.database import door
from projections.catalog import PROJECTIONS
from projections.outage import DATABASE_TROUBLE

NAME: Final = click.Choice(list(PROJECTIONS))

told_in_one_line: Final = partial(door.told_in_one_line, troubles=DATABASE_TROUBLE)
"""Where the database cannot answer, asked directly or through SQLAlchemy: one line, and exit status 2."""
