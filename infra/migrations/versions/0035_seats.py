"""Which sessions hold a seat of which license, and which were denied one."""

from infra.database.migration import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_sql("0035_seats")
