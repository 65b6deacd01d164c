"""Where Alembic starts: on the connection, and in the transaction, that `migrate` hands over."""

from alembic import context

# SQLite can alter a table only by copying it, which is what batch mode does.
context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
