"""Each lapse of a session with its return, and the most seats taken at once without what lapses gave back."""

from infra.database.migration import run_sql

revision = "0061"
down_revision = "0060"


def upgrade() -> None:
    run_sql("0061_session_lapses")
