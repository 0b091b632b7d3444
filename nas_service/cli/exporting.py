"""`nas trial export` by a worker of a server, and what both ways print."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas_service.cli.backend import Backend
from nas_service.cli.following import fetch_files, followed
from nas_service.cli.naming import named_study
from nas_service.cli.output import Format, print_table, say, show
from nas_service.exports import ExportRequest
from nas_service.whole_folder import check_free

COLUMNS = ("form", "size_bytes", "median_ms", "accuracy", "disagreements", "largest_difference", "where")


def export_by_worker(
    backend: Backend,
    trial: tuple[str, int],
    folder: Path,
    request: ExportRequest,
    *,
    replaces: bool,
    output: Format,
) -> None:
    """Have a worker export a trial (study, number), wait for it, and write its files into a folder."""
    check_free(folder, replaces=replaces)
    found = backend.trial_by_number(named_study(backend, trial[0]).study, trial[1])
    job = followed(backend, backend.export_trial(found.id, request))
    fetch_files(backend, job, folder, replaces=replaces)
    show_export(folder, sorted(job.artifacts), job.result, output)


def show_export(folder: Path, files: list[str], found: Mapping[str, Any], output: Format) -> None:
    """Print what an export wrote and found."""
    rows = [{"form": form["name"], **{name: form[name] for name in COLUMNS[1:]}} for form in found["forms"]]
    for remark in found["remarks"]:
        say(remark)
    say(f"wrote {', '.join(files)} to {folder}")
    if output is Format.table:
        if rows:
            print_table(rows, COLUMNS)
        return
    data = {"folder": str(folder), "files": files, "forms": rows}
    show({**data, "remarks": found["remarks"]}, form=output, columns=("folder", "files"))
