from __future__ import annotations

from domain.ingest import MessageDeadLettered
from infra.event_store import Log
from infra.tracing import ids
from tests.projections.histories import at, minted
from tests.projections.world import World


def test_a_message_that_was_not_taken_in_is_listed_with_what_was_wrong(world: World) -> None:
    event = MessageDeadLettered.record(
        minted("m"),
        reason="invalid",
        detail="session.started: missing license_id",
        at=at(5),
        fragment='{"session_id": "s"}',
        message_type="session.started",
        source="billing",
        source_event_id="77",
    )
    world.record(Log.LICENSING, event)
    world.catch_up("ingest_dead_letters")
    assert world.row("select * from analytics.fct_ingest_dead_letters") == {
        "message_id": str(minted("m")),
        "reason": "invalid",
        "detail": "session.started: missing license_id",
        "message_type": "session.started",
        "source": "billing",
        "source_event_id": "77",
        "fragment": '{"session_id": "s"}',
        "dead_lettered_at": at(5),
        "trace_id": ids.trace_id(str(minted("m"))),
    }
