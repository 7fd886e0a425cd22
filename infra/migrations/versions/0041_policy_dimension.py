"""Policies as a dimension of their own: the sets of rules that licenses live under."""

from infra.database.migration import run_sql

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    run_sql("0041_policy_dimension")
