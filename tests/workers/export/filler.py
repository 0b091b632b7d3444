"""Writes trials into a study as a worker would."""

import torch

from nas_service.jobs import JobOutcome
from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.studies import Budget, Objective, StudySpec, Training
from nas_service.trials import Outcome, Proposal, WorkerInfo
from search_spaces import Architecture, RandomTrial, analyse, families
from search_spaces.modules import build
from workers.checkpoint import architecture_file, weights_file

OTHER_STATES = ("failed", "pruned", "infeasible")


def settled(network: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """Let norms see some data, so that nothing folds away."""
    network.train()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(16, *shape, generator=generator))
    network.eval()


class Filler:
    """Writes trials into a study."""

    def __init__(self, service: Service, ledger: SqlLedger, dataset: str = "digits", **spec: object) -> None:
        self.service, self.ledger = service, ledger
        full = StudySpec(
            name="digits | <b>",
            dataset=dataset,
            objectives=(Objective(metric="accuracy"), Objective(metric="params")),
            training=Training(epochs=3, **spec),
            budget=Budget(trials=50),
        )
        self.study = service.create_study(full).study
        self.shape = service.dataset(dataset).input_shape
        self.classes = service.dataset(dataset).classes
        self._worker = ledger.register(WorkerInfo(name="filler", host="here", pid=1)).worker_id

    def add(self, family: str, state: str = "complete", seed: int = 3) -> int:
        """Write a trial of a family's sampled network and return its number."""
        architecture = families.get(family).space.sample(RandomTrial(seed), self.shape, self.classes)
        network = build(architecture, seed=seed)
        settled(network, self.shape)
        files = self._files(architecture, network) if state == "complete" else {}
        proposal = Proposal(
            params={},
            distributions={},
            architecture=architecture.to_dict(),
            architecture_hash=architecture.hash,
            costs={name: float(value) for name, value in analyse(architecture).metrics().items()},
            violations={},
        )
        reservation = self.ledger.reserve(self.study, self._worker, [proposal])
        if state != "running":
            outcome = Outcome(
                report_id=f"report-{family}-{state}-{seed}-{self.study}",
                state=state,
                reason=None if state == "complete" else "of a reason",
                metrics={"accuracy": 0.5, "error": 0.5},
                artifacts=files,
            )
            self.ledger.complete(reservation.leases[0], outcome)
        return reservation.trials[0].number

    def end_jobs(self, results: list[dict[str, object]], **artifacts: str) -> list[int]:
        """Do waiting jobs, with what each is to have found, and return their ids."""
        ended = []
        for result in results:
            work = self.ledger.next_work(self._worker, study_id=self.study)
            assert work.job is not None
            assert work.job_lease is not None
            outcome = JobOutcome(
                report_id=f"report-{work.job.id}", state="complete", result=result, artifacts=artifacts
            )
            self.ledger.complete_job(work.job_lease, outcome)
            ended.append(work.job.id)
        return ended

    def _files(self, architecture: Architecture, network: torch.nn.Module) -> dict[str, str]:
        return {
            "architecture": self.ledger.put_artifact(architecture_file(architecture)),
            "weights": self.ledger.put_artifact(weights_file(network, architecture)),
        }
