"""`nas-worker`: one worker process, on this machine's data folder or on a server."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from nas_service.errors import ServiceError
from nas_service.ledger.protocol import Ledger, LedgerRefused
from nas_service.ledger.sql import SqlLedger
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.store.migrate import upgrade
from nas_service.trials import WorkerInfo


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(2, f"{self.prog}: {message} (see '{self.prog} --help')\n")


def main(arguments: list[str] | None = None) -> None:
    """Run a worker until it is told to end."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sys.exit(_run(options))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nas-worker",
        description="Propose, measure and train candidates, on this machine's data folder or on a server.",
    )
    parser.add_argument("--server", default=os.environ.get("NAS_SERVER"), help="address of the server")
    parser.add_argument("--token-file", type=Path, help="file with the worker token; NAS_TOKEN otherwise")
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}", help="name of this worker")
    parser.add_argument("--home", type=Path, help="data folder; NAS_HOME or ~/.nas otherwise")
    parser.add_argument("--study", type=int, help="work on this study only")
    parser.add_argument("--until-finished", action="store_true", help="end when that study has ended")
    return parser


def _run(options: argparse.Namespace) -> int:
    # Imported late: torch takes a second, and a wrong argument should be told at once.
    import torch

    from workers.worker import Worker

    torch.set_num_threads(1)
    settings = Settings().model_copy(update={"home": options.home} if options.home else {})
    try:
        ledger = _ledger(options, settings)
        information = WorkerInfo(name=options.name, host=socket.gethostname(), pid=os.getpid())
        worker = Worker(
            ledger,
            information,
            settings.data_home / "spool" / options.name,
            study_id=options.study,
            until_finished=options.until_finished,
        )
        worker.end_on_signals()
        worker.run()
    except (LedgerRefused, ServiceError) as error:
        print(f"nas-worker: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _ledger(options: argparse.Namespace, settings: Settings) -> Ledger:
    if options.server:
        from nas_service.ledger.http import HttpLedger

        return HttpLedger(options.server, _token(options, settings), settings.data_home / "cache")
    engine = make_engine(settings.resolved_database_url, pings=False)
    upgrade(engine)
    return SqlLedger(engine, settings=settings)


def _token(options: argparse.Namespace, settings: Settings) -> str:
    path = options.token_file or settings.data_home / "token"
    if options.token_file is None and os.environ.get("NAS_TOKEN"):
        return os.environ["NAS_TOKEN"]
    try:
        return str(path.read_text(encoding="utf-8")).strip()
    except OSError as error:
        raise ServiceError(f"no token: {path} cannot be read; set NAS_TOKEN or --token-file") from error
