"""Who waits for which run: members of fan-ins, and what became of them."""

from infra.database.migration import run_sql

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    run_sql("0051_fan_ins")
