"""What a license agrees on beyond its term, and every change of it with before and after."""

from infra.database.migration import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_sql("0026_license_policies")
