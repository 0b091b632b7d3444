"""`nas db`: the database itself."""

import typer

from nas_service.cli.output import say
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade

app = typer.Typer(help="The database.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _only_group() -> None:
    """Keep `upgrade` a sub-command although it is the only one."""


@app.command("upgrade")
def upgrade_database() -> None:
    """Create the database or bring it to this version's schema; harmless when it already is."""
    settings = Settings()
    engine = make_engine(settings.resolved_database_url)
    upgrade(engine)
    say(f"{engine.url.render_as_string(hide_password=True)} is up to date")
