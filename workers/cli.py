"""`nas-worker`: one worker process, on this machine's data folder or on a server."""

import argparse
import hashlib
import logging
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import NoReturn

from nas_service import logs
from nas_service.connection import ADDRESSES, is_address
from nas_service.devices import checked_remote
from nas_service.errors import InvalidInput, ServiceError
from nas_service.ledger.protocol import Ledger, LedgerRefused
from nas_service.redaction import redacted
from nas_service.settings import Settings
from nas_service.trials import WorkerInfo
from workers.arguments import NODE_NAME, accelerator, at_once, count, gigabytes
from workers.memory import keep_compiled_code, keep_freed_memory, nothing_collected
from workers.noise import Noise


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(2, f"{self.prog}: {message} (see '{self.prog} --help')\n")


def main(arguments: list[str] | None = None) -> None:
    """Run a worker until it is told to end."""
    parser = _parser()
    options = _checked(parser, parser.parse_args(arguments))
    sys.exit(_run(options))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nas-worker",
        description="Propose, measure and train candidates, on this machine's data folder or on a server.",
    )
    parser.add_argument("--server", default=os.environ.get("NAS_SERVER"), help="address of the server")
    parser.add_argument("--token-file", type=Path, help="file with the worker token; NAS_TOKEN otherwise")
    parser.add_argument("--name", help="name of this worker; host and process by default")
    parser.add_argument("--home", type=Path, help="data folder; NAS_HOME or ~/.nas otherwise")
    parser.add_argument("--study", type=int, help="work on this study only")
    parser.add_argument("--until-finished", action="store_true", help="end when that study has ended")
    parser.add_argument(
        "--measure-only",
        action="store_true",
        help="only measure latency, as the device that --device names; needs no torch",
    )
    parser.add_argument("--device", metavar="NAME", help="name of this device in specs, for instance pi4")
    _add_training_options(parser)
    _add_cluster_options(parser)
    return parser


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--join", metavar="HEAD[:PORT]", help="be a node of the cluster of `nas up --engine ray` there"
    )
    parser.add_argument(
        "--ray-token-file", type=Path, help="file with the cluster's token; NAS_HOME/ray-token otherwise"
    )
    parser.add_argument(
        "--slots-per-gpu", type=count, help="workers that share a GPU of this node; 1 otherwise"
    )
    parser.add_argument("--slots", type=count, help="workers that fit on this node, whatever it has")


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accelerator",
        type=accelerator,
        default="auto",
        help="where to train: auto (a GPU if there is one), auto:N (the Nth in turn), cpu, cuda or cuda:N",
    )
    parser.add_argument(
        "--at-once",
        type=at_once,
        default="auto",
        help="candidates to train at once, or auto: by the GPU's size",
    )
    parser.add_argument(
        "--memory-limit-gb", type=gigabytes, help="memory this process may use, in 10^9 bytes; not with a GPU"
    )
    parser.add_argument(
        "--workers-here", type=count, default=1, help="workers among which this machine is divided"
    )
    parser.add_argument(
        "--threads", type=count, default=1, help="threads to train with, at most this worker's share of cores"
    )


def _checked(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Refuse options that do not go together."""
    _check_cluster_options(parser, options)
    if options.measure_only and not options.device:
        parser.error("--measure-only needs --device NAME, the name of this device in specs")
    if options.device and not options.measure_only:
        parser.error("--device needs --measure-only; other workers measure on cpu, cpu-torch and cuda")
    if options.measure_only and (options.study is not None or options.until_finished):
        parser.error("--study and --until-finished do not go with --measure-only, which serves all studies")
    try:
        if options.device:
            checked_remote(options.device)
    except ValueError as error:
        parser.error(f"--device: {error}")
    if options.server and not is_address(options.server):
        parser.error(f"--server: {redacted(options.server)[:80]!r} is no address; allowed: {ADDRESSES}")
    return options


def _check_cluster_options(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if options.name is None:
        host = socket.gethostname()
        options.name = host if options.join else f"{host}-{os.getpid()}"
    if not options.join:
        if options.ray_token_file or options.slots or options.slots_per_gpu:
            parser.error("--ray-token-file, --slots and --slots-per-gpu go with --join alone")
        return
    if not options.server:
        parser.error("--join needs --server URL, from which this node's workers pull their work")
    if options.measure_only or options.study is not None or options.until_finished:
        parser.error("--measure-only, --study and --until-finished do not go with --join")
    if options.slots and options.slots_per_gpu:
        parser.error("--slots and --slots-per-gpu do not go together")
    if not NODE_NAME.fullmatch(options.name):
        parser.error(f"--name {options.name!r} must be letters, digits, '.', '_' or '-', at most 100")


def _run(options: argparse.Namespace) -> int:
    if options.home:
        # Calibrations of the machine lie there too.
        os.environ["NAS_HOME"] = str(options.home)
    try:
        settings = Settings()
        logs.setup(settings, worker=options.name)
        if options.join:
            from workers.pools.joining import join

            join(options, settings)
            return 0
        ledger = _ledger(options, settings)
        noise = _noise(settings)
        (_measure if options.measure_only else _train)(options, settings, ledger, noise)
    except InvalidInput as error:
        _complain(error)
        return 2
    except (LedgerRefused, ServiceError) as error:
        _complain(error)
        return 1
    return 0


def _complain(error: Exception) -> None:
    print(f"nas-worker: {redacted(str(error))}", file=sys.stderr)  # noqa: T201


def _train(options: argparse.Namespace, settings: Settings, ledger: Ledger, noise: Noise) -> None:
    # Read by cuBLAS at its start: without it, it has no deterministic algorithms.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    keep_compiled_code(settings.data_home / "cache")
    # Imported late: torch takes a second, and a wrong argument should be told at once.
    with nothing_collected():
        import torch

        from workers.devices import candidates_at_once, chosen_device, device_name
        from workers.training.convolutions import PLANS
        from workers.worker import Worker

    # More threads than cores would slow all workers of the machine down.
    torch.set_num_threads(min(options.threads, max(1, len(os.sched_getaffinity(0)) // options.workers_here)))
    keep_freed_memory()
    PLANS.keep_in(settings.data_home / "cache" / "convolutions.jsonl")
    device = chosen_device(options.accelerator)
    if device.type == "cpu":
        _limit_memory(options)
    information = WorkerInfo(
        name=options.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        device=device.type,
        versions={"accelerator": device_name(device), **_place()},
    )
    worker = Worker(
        ledger,
        information,
        settings.data_home / "spool" / _service_key(options, settings),
        study_id=options.study,
        until_finished=options.until_finished,
        noise=noise,
        device=device,
        at_once=options.at_once or candidates_at_once(device, options.workers_here),
        drain_s=settings.drain_s,
        checkpoint_s=settings.checkpoint_s,
    )
    worker.end_on_signals()
    worker.run()


def _place() -> dict[str, str]:
    """Return the node and slot that a cluster gave this worker."""
    given = {"node": os.environ.get("NAS_NODE"), "slot": os.environ.get("NAS_SLOT")}
    return {name: value for name, value in given.items() if value}


def _limit_memory(options: argparse.Namespace) -> None:
    from workers.memory import limit_memory

    bound = limit_memory(options.workers_here, gigabytes=options.memory_limit_gb)
    if bound is not None:
        logging.getLogger("nas.worker").info("at most %.1f GB of memory", bound / 1e9)


def _measure(options: argparse.Namespace, settings: Settings, ledger: Ledger, noise: Noise) -> None:
    # What this imports must run where there is no torch.
    from workers.latency import measure
    from workers.measuring import MeasuringWorker, versions

    information = WorkerInfo(
        name=options.name,
        host=socket.gethostname(),
        pid=os.getpid(),
        device=options.device,
        versions=versions(),
        measures_only=True,
    )
    measure_here = partial(measure, device=options.device)
    worker = MeasuringWorker(ledger, information, measure_here, noise, drain_s=settings.drain_s)
    worker.patience.end_on_signals("measurement")
    worker.run()


def _noise(settings: Settings) -> Noise:
    from workers.latency import self_test
    from workers.latency.noise import NOISE_LIMIT

    limit = settings.timing_noise_limit or NOISE_LIMIT
    return Noise(lambda: self_test(noise_limit=limit).reason)


def _ledger(options: argparse.Namespace, settings: Settings) -> Ledger:
    if options.server:
        from nas_service.ledger.http import HttpLedger

        cache = settings.data_home / "cache"
        return HttpLedger(options.server, _token(options, settings), cache, settings.cache_bytes)
    # A device that speaks to a server needs nothing of a database.
    from nas_service.ledger.sql import SqlLedger
    from nas_service.store.engine import make_engine
    from nas_service.store.migrate import upgrade

    # Its password, like a token, is nothing for processes that a candidate might start.
    os.environ.pop("NAS_DATABASE_URL", None)
    engine = make_engine(settings.resolved_database_url, pings=False)
    upgrade(engine)
    return SqlLedger(engine, settings=settings)


def _service_key(options: argparse.Namespace, settings: Settings) -> str:
    """Return a name of the service: what was finished for one must not be delivered to another."""
    address = options.server or settings.resolved_database_url
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def _token(options: argparse.Namespace, settings: Settings) -> str:
    path = options.token_file or settings.data_home / "token"
    # No process that a candidate might start inherits it.
    given = os.environ.pop("NAS_TOKEN", None)
    if options.token_file is None and given:
        return given
    try:
        return str(path.read_text(encoding="utf-8")).strip()
    except OSError as error:
        raise ServiceError(f"no token: {path} cannot be read; set NAS_TOKEN or --token-file") from error
