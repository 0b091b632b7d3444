"""Write and verify the files of a trained network, and keep them as the job's."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from nas_service.errors import ServiceError
from nas_service.export_orders import ExportOrder
from nas_service.jobs import Job
from nas_service.ledger.protocol import LedgerRefused
from workers.jobs.tools import JobFailed, JobResult, Tools
from workers.latency import DeviceUnavailable


def run(job: Job, tools: Tools) -> JobResult:
    """Do what `nas trial export` does on a person's own machine."""
    # Quantisation is loaded by those alone who export.
    from workers.export.exporting import export
    from workers.export.trained import trained_from
    from workers.export.verification import Mismatch

    order, trial = ExportOrder.model_validate(job.payload), tools.trial
    assert trial is not None, "an export is about a trial"
    try:
        tools.progress(0.0, "reads the network and its data")
        dataset = tools.dataset(order.run.dataset_sha256, order.run.dataset) if order.run else tools.dataset()
        files = {kind: tools.fetch(sha256) for kind, sha256 in order.files(trial).items()}
        trained = trained_from(tools.study, trial, dataset, files, order)
        with TemporaryDirectory() as folder:
            exported = export(
                trained,
                Path(folder) / "network",
                order,
                on_step=tools.progress,
                quiet=tools.company.quiet,
            )
            files = {name: (exported.folder / name).read_bytes() for name in exported.files}
    except (Mismatch, DeviceUnavailable, ServiceError, LedgerRefused) as error:
        raise JobFailed(str(error)) from error
    forms = [asdict(form) for form in exported.forms]
    return JobResult({"forms": forms, "remarks": exported.remarks}, files)
