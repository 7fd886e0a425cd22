"""Events that projections pass over."""

from infra.database.migration import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_sql("0020_skipped_events")
