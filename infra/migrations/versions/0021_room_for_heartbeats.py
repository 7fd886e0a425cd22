"""Room on the pages of sessions for a heartbeat of each."""

from infra.database.migration import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_sql("0021_room_for_heartbeats")
