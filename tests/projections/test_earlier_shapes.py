"""A database from before licenses had policies: its events are read, its rows brought along, and both agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import Result
from psycopg.types.json import Jsonb

from domain.license import License
from domain.refusal import Refusal
from infra import database
from infra.event_store import EventStore, Log
from infra.settings import Settings
from projections.as_of import license_as_of
from projections.catalog import PROJECTIONS
from projections.rebuild import rebuild
from projections.tables import LICENSES
from tests.infra.databases import fresh_database
from tests.projections.histories import NOON
from tests.projections.world import World

DAY = timedelta(days=1)
INSERT = """
    insert into event_store.licensing_events (stream_id, version, name, occurred_at, event_id, metadata, data)
    values ('license-old', %s, %s, %s, %s, '{"actor": "urn:desk"}', %s)
"""
STORY: tuple[tuple[str, float, dict[str, Any]], ...] = (
    (
        "license.issued",
        0,
        {
            "license_id": "old",
            "holder_email": "a@example.org",
            "seats": 5,
            "valid_until": (NOON + 20 * DAY).isoformat(),
            "patience_seconds": 90.0,
        },
    ),
    ("license.suspended", 1, {"reason": "late"}),
    ("license.expired", 20, {"valid_until": (NOON + 20 * DAY).isoformat()}),
    (
        "license.renewed",
        21,
        {
            "valid_until": (NOON + 99 * DAY).isoformat(),
            "previous_valid_until": (NOON + 20 * DAY).isoformat(),
        },
    ),
    ("license.reinstated", 22, {"reason": "paid"}),
    ("license.revoked", 23, {"reason": "fraud"}),
)
"""As the release before policies stored it: license.issued in version 1, no fact with the states before and after."""
ROW = """
    insert into read_model.licenses (license_id, state, state_reason, state_changed_at, holder_email, seats,
        patience_seconds, issued_at, term_began_at, valid_until, renewals)
    values ('old', 'revoked', 'fraud', %(revoked_at)s, 'a@example.org', 5, 90, %(issued_at)s, %(renewed_at)s,
        %(valid_until)s, 1)
"""
"""What that release made of it."""


def tell(connection: psycopg.Connection[Any]) -> None:
    for version, (name, days, data) in enumerate(STORY, start=1):
        connection.execute(INSERT, (version, name, NOON + days * DAY, uuid4(), Jsonb(data)))


def told(world: World) -> World:
    with world.connection.begin():
        tell(world.psycopg)
    return world


def test_an_old_license_has_the_policy_under_which_it_lived(world: World) -> None:
    told(world).catch_up()
    row = world.row("select * from analytics.dim_licenses")
    assert (row["policy"], row["patience_seconds"], row["resurrection"]) == ("default", 90, "10_minutes")
    assert (row["expiry"], row["overage"], row["is_admitting"], row["entitlements"]) == (
        "restrict",
        "none",
        False,
        None,
    )
    assert world.rows("select * from read_model.parked_events") == []


def test_every_change_of_an_old_license_has_what_was_before_though_its_facts_do_not_say_so(world: World) -> None:
    told(world).catch_up()
    changes = world.rows("""
        select change, before, after, actor, reason from analytics.fct_license_changes
        where field = 'state' order by version
    """)
    assert [(each["change"], each["before"], each["after"], each["reason"]) for each in changes] == [
        ("license.issued", None, "active", None),
        ("license.suspended", "active", "suspended", "late"),
        ("license.expired", "suspended", "expired", None),
        ("license.renewed", "expired", "suspended", None),
        ("license.reinstated", "suspended", "active", "paid"),
        ("license.revoked", "active", "revoked", "fraud"),
    ]
    assert {each["actor"] for each in changes} == {"urn:desk"}


def test_as_of_and_rebuild_read_an_old_license_alike(world: World) -> None:
    told(world).catch_up()
    before = world.dump([LICENSES])
    rebuild(world.connection, PROJECTIONS["licenses"], store=world.store, batch_events=10)
    assert world.dump([LICENSES]) == before
    row = license_as_of(world.store, "old", None)
    assert row is not None
    assert (row.policy, row.patience_seconds, row.state) == ("default", 90, "revoked")


def test_an_old_license_that_is_loaded_decides_as_it_did(world: World) -> None:
    told(world)
    events = world.store.load(Log.LICENSING, ["license-old"])["license-old"][:1]
    loaded = events[0].mutate(None)
    assert isinstance(loaded, License)
    loaded.admit_session(at=NOON + 19 * DAY)
    with pytest.raises(Refusal, match="expired"):
        loaded.admit_session(at=NOON + 20 * DAY)


def test_an_event_of_an_earlier_shape_is_shown_as_it_is_stored_and_as_it_is_read(
    world: World, run: Callable[..., Result]
) -> None:
    told(world)
    found = world.row("select event_id from event_store.licensing_events where version = 1")
    shown = run("events", "show", str(found["event_id"]))
    assert shown.exit_code == 0, shown.output
    stored, _, read = shown.stdout.partition("stored in version 1; read in version 2 as")
    assert '"policy"' not in stored
    assert '"resurrection": "10_minutes"' in read
    assert '"patience_seconds": 90.0' in read


@pytest.fixture
def of_before(servers: Settings) -> Iterator[Settings]:
    """A database as the release before policies left it, one license in it."""
    with fresh_database(servers) as settings:
        database.migrate(settings, to="0025")
        with database.connect(settings, name="test") as connection:
            tell(connection)
            times = {"issued_at": NOON, "renewed_at": NOON + 21 * DAY, "revoked_at": NOON + 23 * DAY}
            connection.execute(ROW, {**times, "valid_until": NOON + 99 * DAY})
            connection.execute("""
                insert into event_store.checkpoints (follower, log, position)
                select 'projection.licenses', 'licensing', max(position) from event_store.licensing_events
            """)
        yield settings


def test_an_upgrade_brings_rows_along_as_a_rebuild_would_and_fills_the_new_tables(of_before: Settings) -> None:
    database.migrate(of_before)
    engine = database.engine(of_before, name="test")
    with EventStore(of_before.database_url.get_secret_value(), name="test") as store, engine.connect() as connection:
        world = World(store, connection)
        upgraded = world.dump([LICENSES])
        world.catch_up()
        assert world.dump([LICENSES]) == upgraded
        rebuild(connection, PROJECTIONS["licenses"], store=store, batch_events=10)
        assert world.dump([LICENSES]) == upgraded
        assert world.row("select count(*) as changes from analytics.fct_license_changes where field = 'state'") == {
            "changes": 6
        }
    engine.dispose()
