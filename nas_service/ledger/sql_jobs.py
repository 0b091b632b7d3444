"""The SQL ledger's part on jobs."""

from nas_service.jobs import JobLease, JobOutcome, JobReport
from nas_service.ledger import job_leases
from nas_service.ledger.transactions import Transactions
from nas_service.trials import Instruction
from nas_service.work import Work


class SqlJobs(Transactions):
    """The methods of `Ledger` on jobs; see the protocol for what each promises."""

    def report_job(self, lease: JobLease, report: JobReport) -> Instruction:
        self._beat(lease.worker_id)
        with self._writing() as connection:
            return job_leases.report(connection, lease, report, self._lease_s)

    def complete_job(self, lease: JobLease, outcome: JobOutcome) -> None:
        with self._writing() as connection:
            job_leases.end(connection, lease, outcome)

    def release_job(self, lease: JobLease) -> None:
        with self._writing() as connection:
            job_leases.release(connection, lease)

    def _claim_job(self, job_id: int, worker_id: int) -> Work | None:
        with self._writing() as connection:
            name = self._name_of(connection, worker_id)
            return job_leases.claim(connection, job_id, worker_id, name, self._lease_s)
