"""A skip can be taken back."""

from infra.database.migration import run_sql

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    run_sql("0031_unskipped_events")
