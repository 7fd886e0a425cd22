"""Messages that were published once more."""

from infra.database.migration import run_sql

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    run_sql("0012_copies")
