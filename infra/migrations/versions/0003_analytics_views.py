"""Analytics: the views that people and tools read."""

from infra.database.migration import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql("0003_analytics_views")
