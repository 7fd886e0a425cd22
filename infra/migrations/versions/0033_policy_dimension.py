"""Policies as a dimension of their own: the sets of rules that licenses live under."""

from infra.database.migration import run_sql

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    run_sql("0033_policy_dimension")
