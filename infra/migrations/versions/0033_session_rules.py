"""Sessions live by rules of their own, every heartbeat has an outcome, and blind windows defer judgement."""

from infra.database.migration import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0033_session_rules")
