"""Alembic's entry: runs the migrations on the connection that `infra.database.migration` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
connection.exec_driver_sql("create schema if not exists event_store")
connection.commit()
context.configure(
    connection=connection,
    version_table="schema_version",
    version_table_schema="event_store",
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
