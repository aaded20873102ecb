"""Run by Alembic for every command: hands it the connection our caller opened, whose transaction is the caller's."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():  # joins the open transaction
    context.run_migrations()
