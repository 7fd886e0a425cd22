"""Which sessions hold a seat of which license, and which were denied one."""

from infra.database.migration import run_sql

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_sql("0034_seats")
