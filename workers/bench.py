"""`nas device bench`: measure one network on this machine and print the measurement."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# Read by OpenMP when torch is first imported: latency is that of one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from nas_service.cli.described import read_description
from nas_service.cli.output import Format, as_plain, print_table, say, show
from nas_service.devices import LOCAL_DEVICES
from nas_service.errors import InvalidInput, NotFound, ServiceError
from search_spaces import Architecture, SearchSpaceError, families
from search_spaces.families.pictures import typical
from workers.latency import DeviceUnavailable, measure, self_test


def main(arguments: list[str] | None = None) -> None:
    """Measure and print; leaves with the exit codes of `nas`."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        architecture = _architecture(options)
        _print(architecture, options.device, options.output)
    except (InvalidInput, SearchSpaceError) as error:
        say(f"nas device bench: {error}")
        return 2
    except NotFound as error:
        say(f"nas device bench: {error}")
        return 3
    except (ServiceError, DeviceUnavailable) as error:
        say(f"nas device bench: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nas device bench")
    parser.add_argument("--device", choices=LOCAL_DEVICES, default="cpu", help="where latency counts")
    parser.add_argument("--output", type=Format, default=Format.table, help="how to print data")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--family", choices=families.names(), help="a typical network of this family")
    what.add_argument("description", nargs="?", type=Path, help="file of an architecture; - is stdin")
    return parser


def _architecture(options: argparse.Namespace) -> Architecture:
    if options.family:
        return typical(options.family)
    return Architecture.from_dict(read_description(options.description))


def _print(architecture: Architecture, device: str, form: Format) -> None:
    noise = self_test().reason
    if noise:
        say(f"this machine is too noisy to measure latency, take the figures with care: {noise}")
    measurement = as_plain(measure(architecture, device))
    if form is Format.table:
        rows: list[dict[str, Any]] = [{"figure": key, "value": value} for key, value in measurement.items()]
        print_table([row for row in rows if row["value"] is not None], ("figure", "value"))
    else:
        show(measurement, form=form, columns=tuple(measurement))


if __name__ == "__main__":
    main()
