"""Dead letters with what was decided about them, and replays."""

from infra.database.migration import run_sql

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    run_sql("0007_dead_letters")
