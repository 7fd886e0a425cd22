"""As-of questions in SQL: a license, a session, a run of a task as it was at an instant."""

from infra.database.migration import run_sql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    run_sql("0038_as_of")
