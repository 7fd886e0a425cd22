from __future__ import annotations

import sqlalchemy as sa

from infra.local.chaos.promises import NOT_REBUILT
from projections.catalog import PROJECTIONS
from projections.gathering import Gathering
from projections.license_changes import LicenseChangeRow
from projections.projection import Fold
from projections.tables import LICENSE_CHANGES, METADATA, PARKED_EVENTS
from tests.projections.world import World

FOLLOWED_LOGS = "read_model.followed_logs"
"""Written by migrations and read by a view; the code has no need to know it."""


def described(table: sa.Table) -> dict[str, tuple[str, bool, bool]]:
    dialect = sa.dialects.postgresql.dialect()
    return {
        column.name: (column.type.compile(dialect), bool(column.nullable), column.primary_key)
        for column in table.columns
    }


def test_the_code_knows_the_tables_as_the_migrations_made_them(world: World) -> None:
    with world.connection.begin():
        actual = sa.MetaData(schema="read_model")
        actual.reflect(world.connection)
    assert set(actual.tables) == {*METADATA.tables, FOLLOWED_LOGS}
    for name, table in METADATA.tables.items():
        made = described(actual.tables[name])
        for column, (type_, _, is_key) in described(table).items():
            assert (made[column][0], made[column][2]) == (type_, is_key), f"{name}.{column}"
        assert set(made) == set(described(table)), name


def test_rows_in_memory_have_the_columns_of_their_table_keys_first() -> None:
    folds = {each.table: each.shape for each in PROJECTIONS.values() if isinstance(each, Fold | Gathering)}
    shapes = {**folds, LICENSE_CHANGES: LicenseChangeRow}
    assert {each.name for each in PROJECTIONS.values()} == {table.name for table in shapes}
    for table, shape in shapes.items():
        fields = shape.__struct_fields__
        keys = [column.name for column in table.primary_key.columns]
        assert list(fields[: len(keys)]) == keys
        assert set(fields) <= set(table.columns.keys())


def test_no_two_projections_write_the_same_table() -> None:
    written = [table.name for projection in PROJECTIONS.values() for table in projection.tables]
    assert len(written) == len(set(written))


def test_chaos_compares_every_table_that_a_rebuild_makes_again_and_no_other() -> None:
    made = {table.name for projection in PROJECTIONS.values() for table in projection.tables} | {PARKED_EVENTS.name}
    every = {table.name for table in METADATA.tables.values()} | {FOLLOWED_LOGS.partition(".")[2]}
    assert every - made == NOT_REBUILT
