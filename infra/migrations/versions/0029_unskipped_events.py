"""A skip can be taken back."""

from infra.database.migration import run_sql

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_sql("0029_unskipped_events")
