"""One export: all files written and verified in a folder aside, which then takes its place."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from nas_service.exports import ExportRequest
from nas_service.whole_folder import whole_folder
from workers.export.card import FormRow
from workers.export.trained import Trained
from workers.export.writing import Writing


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote, and what it found."""

    folder: Path
    files: list[str]
    forms: list[FormRow]
    # What a person should know, a sentence each.
    remarks: list[str]


def _silently(share: float, note: str) -> None:
    """Tell nobody."""


def export(
    trained: Trained,
    folder: Path,
    request: ExportRequest,
    *,
    replaces: bool = False,
    on_step: Callable[[float, str], object] = _silently,
    quiet: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> Exported:
    """Write the files of a trained network into a folder; all of them, or none.

    Args:
        trained: What is exported.
        folder: Where to.
        request: What is asked for.
        replaces: Whether files of an earlier export may be replaced.
        on_step: Told how much is done, and what comes next; what it raises ends the export.
        quiet: In which a device is measured, where other threads use it too.

    Raises:
        Conflict: The folder holds something already.
        Mismatch: A form does not compute what was trained; nothing is written.
        ServiceError: The folder cannot be written, for instance since the disk is full.
    """
    done = 0.0
    with whole_folder(folder, replaces=replaces) as aside:
        writing = Writing(trained, aside, request, lambda note: on_step(done, note), quiet)
        for place, name in enumerate(request.chosen):
            done = place / len(request.chosen)
            on_step(done, f"writes {name}")
            writing.write(name)
        writing.finish()
        files = sorted(path.relative_to(aside).as_posix() for path in aside.rglob("*") if path.is_file())
    return Exported(folder, files, writing.forms, writing.remarks)
