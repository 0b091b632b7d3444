"""The reference of all commands: `python -m nas_service.cli.reference > docs/cli.md`."""

import sys
from collections.abc import Iterator
from typing import Any

from nas_service.cli.examples import EXAMPLES
from nas_service.cli.main import command_line

HEAD = """\
# The command line

Written by `python -m nas_service.cli.reference` from the commands themselves.

- Data goes to stdout, talk to stderr. `-o table|json|yaml|csv` (or `--json`) chooses the form of data;
  progress shows on terminals only, and nothing ever asks back.
- Exit codes: 0 ok, 1 failed, 2 usage or invalid input, 3 not found, 4 conflict, 5 server or database away,
  130 interrupted.
- A command acts on the data folder of this machine (`NAS_HOME`, by default `~/.nas`), or on the server that
  `--server` or `NAS_SERVER` names, with the token of `NAS_TOKEN` or of
  `nas --token-file FILE COMMAND`. `nas --version` says which version this is.
- What the environment does not say may stand in `~/.config/nas/config.toml` (or the file that `NAS_CONFIG`
  names): `server`, `token_file`, `home` and the other settings by their name.
- `nas --install-completion` lets bash, zsh, fish and PowerShell complete commands and options;
  `nas --show-completion` prints what it would install.
"""


def leaves(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, without the leading nas."""
    for part, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from leaves(inner, f"{name} {part}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def reference() -> str:
    """Return the page."""
    return "\n".join([HEAD, *(_section(name, command) for name, command in leaves(command_line()))])


def _section(name: str, command: Any) -> str:
    lines = [f"## nas {name}", "", _plain(command.help)]
    if name in EXAMPLES:
        lines += ["", *(f"    {example}" for example in EXAMPLES[name])]
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        lines += ["", "| | |", "| --- | --- |", *rows]
    return "\n".join([*lines, ""])


def _row(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    is_option = names[0].startswith("-")
    shown = (
        " ".join(f"`{name}`" for name in names)
        if is_option
        else f"`{(parameter.metavar or names[0]).upper()}`"
    )
    choices = getattr(getattr(parameter, "type", None), "choices", None)
    text = _plain(getattr(parameter, "help", None) or "")
    values = ", ".join(f"`{getattr(choice, 'value', choice)}`" for choice in choices or ())
    allowed = f" One of {values}." if values else ""
    return f"| {shown} | {text}{allowed} |"


def _plain(text: str | None) -> str:
    return " ".join((text or "").replace("\b", "").split()).replace("|", "\\|")


def main() -> None:
    """Print the page."""
    sys.stdout.write(reference())


if __name__ == "__main__":
    main()
