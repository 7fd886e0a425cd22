"""What analysts may ask of schedules: which there are, and what became of their slots."""

from infra.database.migration import run_sql

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    run_sql("0044_schedule_views")
