"""How far each log is sealed, for whoever watches over it."""

from infra.database.migration import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_sql("0024_meta_seals")
