"""The trace of each attempt."""

from infra.database.migration import run_sql

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    run_sql("0010_attempt_traces")
