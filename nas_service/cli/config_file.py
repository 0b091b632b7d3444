"""The configuration file: what the environment does not say.

`$NAS_CONFIG`, or `nas/config.toml` in `$XDG_CONFIG_HOME` (by default `~/.config`), holds settings by name:

    server = "https://nas.example.org"
    token_file = "~/.nas-token"
    home = "~/nas-data"

A name stands for NAS_ and it in capitals; what the environment says goes first, and options of a command
before both.
"""

import os
import tomllib
from pathlib import Path

from nas_service.errors import FieldError, InvalidInput
from nas_service.settings import Settings

# Read by commands beside the settings.
OTHERS = ("server", "token_file")


def read_config_file() -> None:
    """Put what the configuration file says where the environment says nothing.

    Raises:
        InvalidInput: The file cannot be read, or holds what is no setting.
    """
    path = config_path()
    if not path.is_file():
        return
    known = [*OTHERS, *Settings.model_fields]
    for name, value in _content(path).items():
        if name not in known:
            raise InvalidInput(FieldError(name, f"unknown in {path}", ", ".join(known)))
        if name == "token_file":
            _read_token(path, Path(str(value)).expanduser())
        else:
            os.environ.setdefault(f"NAS_{name}".upper(), str(value))


def config_path() -> Path:
    """Return where the file would be."""
    if named := os.environ.get("NAS_CONFIG"):
        return Path(named).expanduser()
    folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(folder).expanduser() / "nas" / "config.toml"


def _content(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(FieldError("", f"{path} cannot be read: {error}")) from error


def _read_token(path: Path, token_file: Path) -> None:
    if "NAS_TOKEN" in os.environ:
        return
    try:
        os.environ["NAS_TOKEN"] = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(FieldError("token_file", f"of {path} cannot be read: {error}")) from error
