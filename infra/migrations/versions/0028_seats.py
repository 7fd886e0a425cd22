"""Which sessions hold a seat of which license, and which were denied one."""

from infra.database.migration import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql("0028_seats")
