"""What analysts may ask of webhooks: which endpoints there are, and what came of each attempt of a delivery."""

from infra.database.migration import run_sql

revision = "0055"
down_revision = "0054"


def upgrade() -> None:
    run_sql("0055_webhook_views")
