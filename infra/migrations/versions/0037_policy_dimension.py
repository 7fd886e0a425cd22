"""Policies as a dimension of their own: the sets of rules that licenses live under."""

from infra.database.migration import run_sql

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    run_sql("0037_policy_dimension")
