"""What came of every e-mail: notices, sent, refused and failed."""

from infra.database.migration import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_sql("0026_notices")
