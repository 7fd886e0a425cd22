"""What came of every e-mail: notices, sent, refused and failed."""

from infra.database.migration import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql("0027_notices")
