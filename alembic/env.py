"""Runs migrations on the connection that `nas_service.store.migrate` hands over, or on NAS_DATABASE_URL."""

from alembic import context

from nas_service.settings import Settings
from nas_service.store.engine import make_engine, writing
from nas_service.store.models import Base


def migrate(connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transaction_per_migration=False,
        transactional_ddl=False,
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with writing(make_engine(Settings().resolved_database_url)) as own:
        migrate(own)
