"""Descriptions that a command is given: a YAML or JSON file, or standard input."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from nas_service.errors import FieldError, InvalidInput, NotFound
from nas_service.plain_data import MAX_BYTES, read_data

STANDARD_INPUT = Path("-")


def read_description(path: Path) -> dict[str, Any]:
    """Return the mapping that a file holds; `-` is standard input.

    Raises:
        NotFound: There is no such file, or it cannot be read.
        InvalidInput: It is too large, or holds no mapping.
    """
    content = _content(path)
    if not content.strip():
        raise InvalidInput(FieldError("", f"{path}: the file is empty", "a mapping of fields"))
    try:
        return read_data(content)
    except InvalidInput as error:
        # What is wrong with a whole text does not say which text.
        named = (replace(one, message=f"{path}: {one.message}") for one in error.errors)
        raise InvalidInput(*named) from error


def _content(path: Path) -> bytes:
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    if not path.is_file():
        raise NotFound(f"no file at {path}")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
