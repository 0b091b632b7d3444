"""`nas worker doctor`: can this machine train and measure, and does its server want it."""

import argparse
import os
import sys

# Read by OpenMP when torch is first imported: a worker trains on one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from functools import partial
from pathlib import Path

from nas_service.cli.checks import show_checks
from nas_service.cli.output import Format, say
from nas_service.diagnosis.check import Check, explained, fail, ok, warn
from nas_service.diagnosis.network import check_server, given_token
from nas_service.diagnosis.packages import check_packages
from nas_service.errors import InvalidInput
from nas_service.settings import Settings

LITTLE_MEMORY_BYTES = 1.5e9


def main(arguments: list[str] | None = None) -> None:
    """Print the findings; leaves with 1 if something fails."""
    try:
        sys.exit(run(arguments))
    except InvalidInput as error:
        say(f"nas worker doctor: {error}")
        sys.exit(2)


def run(arguments: list[str] | None = None) -> int:
    """Print the findings; return the exit code."""
    options = _parser().parse_args(arguments)
    checks = [] if options.device_only else _of_machine(options)
    for name, find in (("torch", check_torch), ("memory", check_memory), ("noise", check_noise)):
        checks += explained(name, find, "install again with: make install")
    return show_checks(checks, options.output)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nas worker doctor")
    parser.add_argument("--server", default=os.environ.get("NAS_SERVER"), help="address of the server")
    parser.add_argument("--token-file", type=Path, help="file with the worker token; NAS_TOKEN otherwise")
    parser.add_argument("--device-only", action="store_true", help="only what this machine computes on")
    parser.add_argument("--output", type=Format, default=Format.table, help="how to print data")
    return parser


def _of_machine(options: argparse.Namespace) -> list[Check]:
    settings = Settings()
    checks = explained("packages", check_packages, "install again with: make install")
    if options.server:
        token = given_token(options.token_file or settings.data_home / "token")
        checks += check_server(options.server, is_needed=True, token=token, as_worker=True)
    return checks + explained("spool", partial(check_spool, settings), "check NAS_HOME")


def check_torch() -> list[Check]:
    """Return torch's version, its threads, and the GPUs that it sees."""
    import torch

    cores = len(os.sched_getaffinity(0))
    found = [ok("torch", f"{torch.__version__}, {torch.get_num_threads()} of {cores} cores for one worker")]
    if not torch.cuda.is_available():
        return [*found, ok("gpu", "none; workers train on the processor")]
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        found.append(ok("gpu", f"cuda:{index} {name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"))
    return found


def check_memory() -> list[Check]:
    """Return whether there is room for a worker."""
    from workers.memory import available_bytes

    free = available_bytes()
    if free is None:
        return [warn("memory", "the system does not say how much is left", "set --memory-limit-gb")]
    found = f"{free / 1e9:.1f} GB available"
    if free < LITTLE_MEMORY_BYTES:
        return [warn("memory", found, "a worker needs about 1 GB, and large data sets more")]
    return [ok("memory", found)]


def check_noise() -> list[Check]:
    """Return whether latency can be measured here."""
    from workers.latency import self_test

    test = self_test()
    if test.reason:
        return [warn("noise", test.reason, "workers train here, but measure no latency until it is quiet")]
    return [ok("noise", quiet_text(test.timing_noise, test.load))]


def quiet_text(noise: float, load: float | None) -> str:
    """Return that a machine is quiet enough, and how busy it is: timings leave out what others slowed."""
    differ = f"{100 * noise:.1f} %" if noise >= 0.001 else "under 0.1 %"
    busy = "" if load is None else f" (load {load:.2f} a core)"
    return (
        f"quiet enough for latency: timings differ by {differ}, moments that other work slowed left out{busy}"
    )


def check_spool(settings: Settings) -> list[Check]:
    """Return whether results of this machine's workers wait to be delivered."""
    folder = settings.data_home / "spool"
    waiting = sorted(folder.glob("*/*.json"))
    damaged = sorted(folder.glob("*/*.damaged"))
    if damaged:
        return [fail("spool", f"{len(damaged)} damaged in {folder}", "their trials are trained again")]
    if waiting:
        return [
            warn(
                "spool",
                f"results that wait to be delivered: {len(waiting)}",
                "any worker started here does that",
            )
        ]
    return [ok("spool", "no result waits to be delivered")]


if __name__ == "__main__":
    main()
