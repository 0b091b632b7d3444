"""`nas trial export`: write a trained candidate's files on this machine."""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

# Read by OpenMP when torch is first imported: latency is that of one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from nas_service.cli.exporting import show_export
from nas_service.cli.output import Format, say
from nas_service.errors import Conflict, NotFound, ServiceError, Unavailable
from nas_service.exports import ExportRequest
from nas_service.service import Service
from nas_service.settings import Settings
from workers.export.exporting import export
from workers.export.trained import read_trained
from workers.export.verification import Mismatch
from workers.latency import DeviceUnavailable


def main(arguments: list[str] | None = None) -> None:
    """Export; leaves with the exit codes of `nas`."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Export and say what was found; return the exit code."""
    options = _parser().parse_args(arguments)
    wanted = ExportRequest.model_validate_json(options.request)
    codes = ((NotFound, 3), (Conflict, 4), (Unavailable, 5))
    try:
        service = Service.open(Settings())
        try:
            trained = read_trained(service, options.study, options.number, wanted)
            exported = export(trained, options.directory, wanted, replaces=options.force)
        finally:
            service.close()
    except (ServiceError, Mismatch, DeviceUnavailable) as error:
        say(f"nas trial export: {error}")
        return next((code for kind, code in codes if isinstance(error, kind)), 1)
    found = {"forms": [asdict(form) for form in exported.forms], "remarks": exported.remarks}
    show_export(exported.folder, exported.files, found, options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nas trial export")
    parser.add_argument("study")
    parser.add_argument("number", type=int)
    parser.add_argument("--request", default="{}")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--force", action="store_true")
    parser.add_argument("--output", type=Format, default=Format.table)
    return parser


if __name__ == "__main__":
    main()
