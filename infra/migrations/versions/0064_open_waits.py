"""Which waits are open, so that whoever takes dispatch over need not read all that ever began."""

from infra.database.migration import run_sql

revision = "0064"
down_revision = "0063"


def upgrade() -> None:
    run_sql("0064_open_waits")
