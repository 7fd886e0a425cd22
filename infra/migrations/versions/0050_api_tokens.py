"""Who may use the HTTP interface."""

from infra.database.migration import run_sql

revision = "0050"
down_revision = "0049"


def upgrade() -> None:
    run_sql("0050_api_tokens")
