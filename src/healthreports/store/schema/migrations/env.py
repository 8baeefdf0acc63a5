"""Alembic's environment: it uses the connection that `store/schema/upgrade` puts in the config."""

from alembic import context

from healthreports.store.schema.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
