"""What analysts may ask of schedules: which there are, and what became of their slots."""

from infra.database.migration import run_sql

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    run_sql("0047_schedule_views")
