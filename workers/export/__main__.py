"""`nas trial export`: write a trained candidate's files on this machine."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is first imported: latency is that of one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from nas_service.cli.output import Format, print_table, say, show
from nas_service.errors import Conflict, NotFound, ServiceError, Unavailable
from nas_service.service import Service
from nas_service.settings import Settings
from workers.export.exporting import TARGETS, Exported, Options, chosen_formats, export
from workers.export.trained import read_trained
from workers.export.verification import Mismatch
from workers.latency import DeviceUnavailable

COLUMNS = ("form", "size_bytes", "median_ms", "accuracy", "disagreements", "largest_difference", "where")


def main(arguments: list[str] | None = None) -> None:
    """Export; leaves with the exit codes of `nas`."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Export and say what was found; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        chosen = Options(
            formats=chosen_formats(options.format),
            target=options.target,
            with_preprocessing=options.with_preprocessing,
            replaces=options.force,
        )
    except ValueError as error:
        say(f"nas trial export: format: {error}")
        return 2
    codes = ((NotFound, 3), (Conflict, 4), (Unavailable, 5))
    try:
        service = Service.open(Settings())
        try:
            exported = export(read_trained(service, options.study, options.number), options.directory, chosen)
        finally:
            service.close()
    except (ServiceError, Mismatch, DeviceUnavailable) as error:
        say(f"nas trial export: {error}")
        return next((code for kind, code in codes if isinstance(error, kind)), 1)
    _print(exported, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nas trial export")
    parser.add_argument("study")
    parser.add_argument("number", type=int)
    parser.add_argument("--format", action="append", required=True)
    parser.add_argument("--target", choices=tuple(TARGETS), default="cpu-onnx")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--with-preprocessing", action="store_true")
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--output", type=Format, default=Format.table)
    return parser


def _print(exported: Exported, form: Format) -> None:
    rows: list[dict[str, Any]] = [
        {name: form.name if name == "form" else getattr(form, name) for name in COLUMNS}
        for form in exported.forms
    ]
    for remark in exported.remarks:
        say(remark)
    say(f"wrote {', '.join(exported.files)} to {exported.folder}")
    if form is Format.table:
        if rows:
            print_table(rows, COLUMNS)
        return
    data = {"folder": str(exported.folder), "files": exported.files, "forms": rows}
    show({**data, "remarks": exported.remarks}, form=form, columns=("folder", "files"))


if __name__ == "__main__":
    main()
