"""Which tables have counted an event that is skipped since: such a draft does not become live."""

from infra.database.migration import run_sql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    run_sql("0025_counted_skips")
