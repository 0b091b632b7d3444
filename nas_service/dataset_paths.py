"""Data sets that a spec gives as a path instead of by name."""

import os
from collections.abc import Collection
from pathlib import Path

from nas_service.errors import FieldError, InvalidInput

# What files of data sets end in.
ENDINGS = (".npz", ".npy", ".zip", ".gz", ".idx", ".tar", ".tgz")


def path_to_register(dataset: str, known: Collection[str]) -> Path | None:
    """Return the path that a spec's data set stands for; None where it is a name.

    Args:
        dataset: As the spec has it.
        known: Names of registered data sets, which go before files.

    Raises:
        InvalidInput: It can only be a path, and nothing is there.
    """
    if dataset in known:
        return None
    path = Path(dataset).expanduser()
    if path.exists():
        return path
    if _is_path_like(dataset):
        allowed = f"the path of one, or a name: {', '.join(sorted(known))}"
        raise InvalidInput(FieldError("/dataset", f"there is no file or folder {dataset[:200]}", allowed))
    return None


def _is_path_like(text: str) -> bool:
    return os.sep in text or text.startswith("~") or text.lower().endswith(ENDINGS)
