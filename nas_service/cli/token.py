"""`nas token` and `nas audit`: who is let in as what, and who did what."""

from typing import Annotated

import typer
from pydantic import ValidationError

from nas_service.access import MAX_EXPIRES_DAYS, Role, TokenCreate, TokenView
from nas_service.cli import options
from nas_service.cli.backend import connected
from nas_service.cli.output import Format, say, show
from nas_service.errors import InvalidInput, no_such
from nas_service.spec_file import field_errors

app = typer.Typer(help="Tokens: who is let in as what.", no_args_is_help=True, rich_markup_mode=None)
COLUMNS = ("id", "name", "role", "state", "created_at", "expires_at", "last_used_at")
AUDIT_COLUMNS = ("at", "actor", "role", "action", "target", "status", "address")


@app.command("create")
def create(
    role: Annotated[Role, typer.Option(help="What it is for; worker tokens reach the ledger alone.")],
    name: Annotated[str, typer.Option(help="Whose it is; letters, digits, . _ @ + -")],
    expires_days: Annotated[
        int | None,
        typer.Option(help="Days it is good for; for ever without.", min=1, max=MAX_EXPIRES_DAYS),
    ] = None,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    try:
        wanted = TokenCreate(name=name, role=role, expires_days=expires_days)
    except ValidationError as error:
        raise InvalidInput(*field_errors(error, TokenCreate)) from error
    with connected(server) as backend:
        made = backend.create_token(wanted)
    form = options.chosen_format(output, as_json)
    if form is Format.table:
        print(made.token)  # noqa: T201
    else:
        show(made, form=form, columns=("token", *COLUMNS))
    ends = f"until {made.expires_at:%Y-%m-%d}" if made.expires_at else "until it is revoked"
    say(f"token {made.id} ({made.name}, {made.role}) is good {ends}; it is not shown again")
    say(f"use it: NAS_TOKEN=... or --token-file FILE; end it: nas token revoke {made.name}")


@app.command("list")
def list_tokens(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> None:
    """List all tokens ever made; never the tokens themselves."""
    with connected(server) as backend:
        made = backend.tokens()
    show(made, form=options.chosen_format(output, as_json), columns=COLUMNS)


@app.command("revoke")
def revoke(
    token: Annotated[str, typer.Argument(help="Its number or name.")], server: options.Server = None
) -> None:
    """Make a token good for nothing, with every session and stream it opened."""
    with connected(server) as backend:
        revoked = backend.revoke_token(_find(backend.tokens(), token).id)
    say(f"token {revoked.id} ({revoked.name}, {revoked.role}) is revoked; servers refuse it within 5 seconds")


def audit(
    last: Annotated[int, typer.Option(help="How many entries.", min=1, max=500)] = 50,
    server: options.Server = None,
    output: options.Output = Format.table,
    as_json: options.Json = False,
) -> None:
    """List who launched, changed, deleted, downloaded, logged in, ...; the newest first."""
    with connected(server) as backend:
        entries = backend.audit(page_size=last).items
    show(entries, form=options.chosen_format(output, as_json), columns=AUDIT_COLUMNS)


def _find(made: list[TokenView], id_or_name: str) -> TokenView:
    """Return the token of an id, or the newest of a name, those that were not revoked first."""
    named = [token for token in made if id_or_name in (str(token.id), token.name)]
    for token in sorted(named, key=lambda token: token.state == "revoked"):
        return token
    raise no_such("token", id_or_name)
