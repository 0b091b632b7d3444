"""`nas doctor`: what is wrong here, and what to do about it."""

from nas_service.cli import options
from nas_service.cli.backend import server_address
from nas_service.cli.checks import show_checks
from nas_service.cli.output import Format
from nas_service.diagnosis import diagnose
from nas_service.settings import Settings


def doctor(
    server: options.Server = None, output: options.Output = Format.table, as_json: options.Json = False
) -> int:
    """Check database, data folder, artifacts, server, clocks, versions, workers and device.

    A line each: ok, warn or fail, and what to do. Exit code 1 if anything fails. With a server's address the
    server is checked instead of this machine's data folder.
    """
    found = diagnose(Settings(), server_address(server))
    return show_checks(found, options.chosen_format(output, as_json))
