"""A worker whose training takes milliseconds: real ledger, spool, patience and heartbeat, stub figures.

All figures follow from the architecture's hash and the epoch alone, so that whoever trains a trial, and
however often, finds the same. What the service acknowledges goes to the client log.
"""

import argparse
import hashlib
import logging
import os
import random
import sys
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from client_log import ClientLog

from nas_service.constraints import violations
from nas_service.ledger.http import HttpLedger
from nas_service.ledger.protocol import LeaseLost, Ledger, LedgerError, LedgerRefused
from nas_service.ledger.sql import SqlLedger
from nas_service.settings import Settings
from nas_service.store.engine import make_engine
from nas_service.studies import StudySpec
from nas_service.trials import EpochReport, Instruction, Lease, Outcome, Proposal, Study, Trial, WorkerInfo
from search_spaces import RandomTrial, analyse, resolve_space
from workers.delivery import Delivery, hashes
from workers.heartbeat import Heartbeat
from workers.patience import Patience

IDLE_S = 0.05
log = logging.getLogger("nas.stub")


def main(arguments: list[str]) -> None:
    """Work until told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--server")
    parser.add_argument("--study", type=int)
    parser.add_argument("--epoch-ms", type=float, default=5.0)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many proposals there are to draw from")
    parser.add_argument("--mischief", type=float, default=0.0, help="share of results sent again and again")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings()
    StubWorker(options, settings, _ledger(options, settings)).run()


def _ledger(options: argparse.Namespace, settings: Settings) -> Ledger:
    if options.server:
        return HttpLedger(options.server, os.environ["NAS_TOKEN"], settings.data_home / "cache")
    return SqlLedger(make_engine(settings.resolved_database_url, pings=False), settings=settings)


class StubWorker:
    """The loop of `workers.worker.Worker`, with nothing trained."""

    def __init__(self, options: argparse.Namespace, settings: Settings, ledger: Ledger) -> None:
        self._options, self._ledger = options, ledger
        self._patience = Patience()
        self._patience.end_on_signals("epoch")
        self._told = ClientLog(settings.data_home / f"{options.name}.client")
        spool = settings.data_home / "spool" / options.name
        self._delivery = Delivery(Noted(ledger, self._told), self._patience, spool)  # type: ignore[arg-type]
        self._chance = random.Random()
        self._worker_id = 0

    def run(self) -> None:
        information = WorkerInfo(name=self._options.name, host="here", pid=os.getpid())
        registration = self._patience.call(lambda: self._ledger.register(information))
        if registration is None:
            return
        self._worker_id, self._heartbeat_s = registration.worker_id, registration.heartbeat_s
        while not self._patience.ends.is_set():
            self._delivery.deliver_leftovers()
            work = self._patience.call(
                lambda: self._ledger.next_work(self._worker_id, study_id=self._options.study)
            )
            if work is None or work.kind == "finished":
                break
            if work.study and work.trial and work.lease:
                self._evaluate(work.study, work.trial, work.lease)
            elif work.study:
                self._propose(work.study)
            else:
                self._patience.ends.wait(IDLE_S)
        self._patience.try_once(lambda: self._ledger.leave(self._worker_id))

    def _propose(self, study: Study) -> None:
        proposal = drawn(
            study.spec, study.input_shape, study.classes, self._chance.randrange(self._options.seeds)
        )
        try:
            self._ledger.join_study(study.id, self._worker_id)
            reservation = self._patience.call(
                lambda: self._ledger.reserve(study.id, self._worker_id, [proposal])
            )
        except LedgerError as error:
            log.info("not proposed: %s", error)
            return
        for trial in reservation.trials if reservation else []:
            self._told.add(
                "reserve",
                study=study.id,
                trial=trial.id,
                number=trial.number,
                hash=trial.architecture_hash,
                state=trial.state,
            )
        if reservation and reservation.leases:
            self._evaluate(study, reservation.trials[0], reservation.leases[0])

    def _evaluate(self, study: Study, trial: Trial, lease: Lease) -> None:
        with Heartbeat(lambda: self._ledger.heartbeat(lease), self._heartbeat_s) as heartbeat:
            ending = self._train(study.spec, trial, lease, heartbeat)
        if ending == "stop":
            self._patience.try_once(lambda: self._ledger.release(lease))
        elif ending == "lost":
            self._told.add("lost", trial=lease.trial_id, attempt=lease.attempt)
        else:
            self._finish(trial, lease, ending == "prune")

    def _train(self, spec: StudySpec, trial: Trial, lease: Lease, heartbeat: Heartbeat) -> Instruction:
        for epoch in range(1, spec.training.epochs + 1):
            threading.Event().wait(self._options.epoch_ms / 1000)
            if self._patience.ends.is_set():
                return "stop"
            if heartbeat.verdict in ("stop", "lost"):
                return "lost"
            report = EpochReport(epoch=epoch, accuracy=figure(trial.architecture_hash, f"epoch {epoch}"))
            try:
                answer = self._ledger.report(lease, report)
            except LedgerError:
                continue
            if answer in ("stop", "lost"):
                return "lost"
            self._told.add(
                "epoch", trial=lease.trial_id, attempt=lease.attempt, epoch=epoch, accuracy=report.accuracy
            )
            if answer == "prune":
                return "prune"
        return "continue"

    def _finish(self, trial: Trial, lease: Lease, is_pruned: bool) -> None:
        contents = {
            "weights": trial.architecture_hash.encode() * 64,
            "architecture": b"{}" + trial.architecture_hash.encode(),
        }
        outcome = ending_of(trial.architecture_hash, is_pruned, hashes(contents))
        files = contents if outcome.artifacts else {}
        self._delivery.hand_over(lease, outcome, files)
        if not self._patience.ends.is_set() and self._chance.random() < self._options.mischief:
            self._send_again(lease, outcome)

    def _send_again(self, lease: Lease, outcome: Outcome) -> None:
        """Send the result again, another one, a late epoch and a late heartbeat, all at once."""
        other = outcome.model_copy(update={"report_id": uuid.uuid4().hex, "metrics": {"accuracy": 1.0}})
        late = EpochReport(epoch=1, accuracy=1.0)
        calls: list[tuple[str, Callable[[], object]]] = [
            ("same", lambda: self._ledger.complete(lease, outcome)),
            ("same", lambda: self._ledger.complete(lease, outcome)),
            ("other", lambda: self._ledger.complete(lease, other)),
            ("epoch", lambda: self._ledger.report(lease, late)),
            ("heartbeat", lambda: self._ledger.heartbeat(lease)),
        ]
        self._chance.shuffle(calls)
        with ThreadPoolExecutor(len(calls)) as pool:
            answers = list(pool.map(lambda call: (call[0], _answer(call[1])), calls))
        self._told.add("again", trial=lease.trial_id, attempt=lease.attempt, answers=answers)


class Noted:
    """A ledger that writes down what becomes of files and results before it passes the answer on."""

    def __init__(self, ledger: Ledger, told: ClientLog) -> None:
        self._ledger, self._told = ledger, told

    def put_artifact(self, content: bytes) -> str:
        sha256 = self._ledger.put_artifact(content)
        self._told.add("artifact", sha256=sha256)
        return sha256

    def complete(self, lease: Lease, outcome: Outcome) -> None:
        about = {"trial": lease.trial_id, "attempt": lease.attempt}
        try:
            self._ledger.complete(lease, outcome)
        except LeaseLost:
            self._told.add("refused", **about, report=outcome.report_id)
            raise
        except LedgerRefused as error:
            self._told.add("unwanted", **about, why=str(error))
            raise
        self._told.add("complete", **about, outcome=outcome.model_dump(mode="json"))


def _answer(call: Callable[[], object]) -> str:
    try:
        return str(call() or "done")
    except LedgerError as error:
        return type(error).__name__


def drawn(spec: StudySpec, shape: tuple[int, ...], classes: int, seed: int) -> Proposal:
    """Return the proposal of a seed: always the same network for the same seed."""
    trial = RandomTrial(seed)
    network = resolve_space(spec.space).sample(trial, shape, classes)
    costs = {name: float(value) for name, value in analyse(network).metrics().items()}
    return Proposal(
        params=trial.params,
        distributions={},
        architecture=network.to_dict(),
        architecture_hash=network.hash,
        costs=costs,
        violations=violations(costs, spec.constraints),
    )


def figure(architecture_hash: str, what: str) -> float:
    """Return a number from 0 to 1 that the hash and `what` alone decide, of two digits so that some tie."""
    digest = hashlib.sha256(f"{architecture_hash} {what}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 101 / 100


def ending_of(architecture_hash: str, is_pruned: bool, files: dict[str, str]) -> Outcome:
    """Return how a trial ends: one in sixteen fails, one in sixteen is too slow, the others are complete."""
    lot = int(architecture_hash[-1], 16)
    common = {"report_id": uuid.uuid4().hex, "metrics": {"accuracy": figure(architecture_hash, "accuracy")}}
    if is_pruned:
        return Outcome(state="pruned", reason="stopped at a rung", **common)
    if lot == 0:
        return Outcome(
            report_id=common["report_id"], state="failed", reason="diverged", error="a stub's error"
        )
    if lot == 1:
        return Outcome(state="infeasible", reason="too slow", violations={"latency_ms": 1.0}, **common)
    return Outcome(
        state="complete", artifacts=files, timings={"training_s": 0.1}, versions={"stub": "1"}, **common
    )


if __name__ == "__main__":
    main(sys.argv[1:])
