"""An index by which dispatch finds the webhook endpoints, and the door for calls its hooks; made beside appends."""

from alembic import op

revision = "0054"
down_revision = "0052"

# Each may be done again after an interruption. The index is partial: whatever else is appended does not touch it.
STATEMENTS = (
    "drop index concurrently if exists event_store.licensing_webhooks",
    """
    create index concurrently licensing_webhooks on event_store.licensing_events (position)
        where name in (
            'webhook.registered', 'webhook.changed', 'webhook.disabled', 'webhook.enabled', 'webhook.removed',
            'webhook.secret_rotated', 'webhook.began_failing', 'webhook.recovered', 'webhook.tested',
            'hook.declared', 'hook.secret_rotated', 'hook.removed'
        )
    """,
    "comment on index event_store.licensing_webhooks is 'What was done about webhook endpoints and hooks, in order.'",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in STATEMENTS:
            op.execute(statement)
