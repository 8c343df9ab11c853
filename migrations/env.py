"""Alembic's entry point: migrate over the connection that ``reidsearch.catalog.schema`` hands in.

A new migration is a file in versions/: copy the newest one, give it the next number, and set
``HEAD`` in reidsearch/catalog/schema.py.
"""

from alembic import context

from reidsearch.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
)
with context.begin_transaction():
    context.run_migrations()
