"""Policies as a dimension of their own: the sets of rules that licenses live under."""

from infra.database.migration import run_sql

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_sql("0035_policy_dimension")
