"""Single calls that a drill lets a process of its own make, and die in."""

import sys
import threading

from nas_service.crash_points import crash_point
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import StudySpec
from nas_service.trials import WorkerInfo


def open_database(arguments: list[str]) -> None:
    """Bring the database up to date."""
    Service.open(Settings()).close()


def create_study(arguments: list[str]) -> None:
    """Launch the study of a spec in JSON."""
    Service.open(Settings()).create_study(StudySpec.model_validate_json(arguments[0]))


def enqueue(arguments: list[str]) -> None:
    """Enqueue the network of a seed in a study."""
    from stub_worker import drawn

    service = Service.open(Settings())
    study = service.study(int(arguments[0]))
    network = drawn(study.spec, (1, 8, 8), 10, int(arguments[1])).architecture
    service.enqueue(study.study, network)


def give_up(arguments: list[str]) -> None:
    """End a study that holds nothing."""
    settings = Settings()
    SqlLedger(Service.open(settings).engine, settings=settings).give_up(int(arguments[0]), "hopeless")


def ask_for_work(arguments: list[str]) -> None:
    """Ask for work of a study once."""
    settings = Settings()
    ledger = SqlLedger(Service.open(settings).engine, settings=settings)
    ledger.next_work(int(arguments[0]), study_id=int(arguments[1]))


def pass_by(arguments: list[str]) -> None:
    """Pass a crash point so many times."""
    for _ in range(int(arguments[1])):
        crash_point(arguments[0])


def flood_and_hang(arguments: list[str]) -> None:
    """Take a trial, print so many megabytes, and never come back."""
    from stub_worker import drawn

    settings = Settings()
    ledger = SqlLedger(Service.open(settings).engine, settings=settings)
    study, megabytes = int(arguments[0]), int(arguments[1])
    worker = ledger.register(WorkerInfo(name="hanging", host="here", pid=1)).worker_id
    ledger.reserve(study, worker, [drawn(Service.open(settings).study(study).spec, (1, 8, 8), 10, 1)])
    for _ in range(megabytes):
        sys.stdout.write("x" * 1_000_000)
    threading.Event().wait()
