"""The event store: three append-only logs, and the checkpoints of their followers."""

from alembic import op

from infra.database.migration import run_sql

revision = "0001"
down_revision = None

LOGS = {
    "licensing_events": "Log of sessions, licenses and schedules, and of what ingest did not take in.",
    "task_events": "Log of what becomes of each accepted task, from its acceptance to its one end.",
    "heartbeat_events": "Log of heartbeats, many to an event, and of log time.",
}
STORIES = ("licensing_events", "task_events")


def upgrade() -> None:
    run_sql("0001_event_store")
    for table, purpose in LOGS.items():
        run_sql("0001_event_log", table=table, purpose=purpose)
    for table in STORIES:
        op.execute(
            f"create index {table}_correlation on event_store.{table} ((metadata ->> 'correlation_id'), position)"
        )
    op.execute("""
        create function event_store.safe_position(log text) returns bigint language plpgsql volatile as $$
        begin
            case log
                when 'licensing' then return event_store.licensing_events_safe_position();
                when 'tasks' then return event_store.task_events_safe_position();
                when 'heartbeats' then return event_store.heartbeat_events_safe_position();
            end case;
        end $$
    """)
    op.execute("""
        comment on function event_store.safe_position(text) is
            'Up to where a log is final: no event will appear at or below. Rows are read in a later statement.'
    """)
