"""Policies as a dimension of their own: the sets of rules that licenses live under."""

from infra.database.migration import run_sql

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    run_sql("0039_policy_dimension")
