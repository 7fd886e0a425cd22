"""Error callbacks are asked for from here on, and not for what ended before."""

from infra.database.migration import run_sql

revision = "0063"
down_revision = "0062"


def upgrade() -> None:
    run_sql("0063_error_callbacks")
