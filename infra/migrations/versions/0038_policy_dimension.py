"""Policies as a dimension of their own: the sets of rules that licenses live under."""

from infra.database.migration import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    run_sql("0038_policy_dimension")
