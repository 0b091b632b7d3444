"""The service's part on exports: what may leave, and what is told of it."""

from sqlalchemy import Connection

from nas_service.confirm_service import ConfirmService
from nas_service.confirming import quality_of, summarised
from nas_service.errors import Conflict, FieldError, InvalidInput, NotFound, no_such
from nas_service.export_orders import KINDS, ConfirmedFigures, ExportOrder, FinalRun
from nas_service.exports import ExportRequest, check_exportable
from nas_service.file_stores import FileStores
from nas_service.jobs import Job
from nas_service.store import confirmations, jobs, studies, trials
from nas_service.studies import StudySpec
from nas_service.trials import Trial
from nas_service.views import JobView

MAX_NAMED = 20


class ExportService(ConfirmService):
    """The methods of `Service` on exports."""

    stores: FileStores

    def export_trial(self, trial_id: int, request: ExportRequest) -> JobView:
        """Have a worker write and verify the files of a trained network; the job holds them at its end.

        Raises:
            NotFound: There is no such trial, or its weights are no longer stored; says which.
            Conflict: The trial has no trained network, or the named job is not complete; says why.
            InvalidInput: The named job trained no network of this trial.
        """
        with self._reading() as connection:
            trial = trials.read_trial(connection, trial_id)
        if trial is None:
            raise no_such("trial", trial_id)
        order = self.export_order(trial, request)
        for kind, sha256 in order.files(trial).items():
            if not self.stores.artifacts.holds(sha256):
                raise NotFound(f"the {kind} of {order.owner(trial)} are no longer stored")
        return self.create_job(
            "export",
            study_id=trial.study_id,
            trial_id=trial.id,
            payload=order.model_dump(mode="json", exclude_none=True),
            device="cuda" if request.target == "cuda" else None,
        )

    def export_order(self, trial: Trial, request: ExportRequest) -> ExportOrder:
        """Return an export with all that its worker is told; raises as `export_trial`."""
        if request.job is None:
            check_exportable(trial)
        with self._reading() as connection:
            study = studies.read_study(connection, trial.study_id)
            spec, sha256 = StudySpec.model_validate(study["spec"]), study["dataset_sha256"]
            confirmed = _confirmed(connection, trial, spec)
            run = None
            if request.job is not None:
                run = _final_run(_job_of(connection, trial, request.job), spec, sha256)
        is_own = run is None or run.dataset_sha256 == sha256
        return ExportOrder(**dict(request), confirmed=confirmed if is_own else None, run=run)


def _confirmed(connection: Connection, trial: Trial, spec: StudySpec) -> ConfirmedFigures | None:
    runs = confirmations.current(confirmations.read(connection, trial.study_id))
    own = confirmations.by_trial(runs).get(trial.id, [])
    quality = quality_of(spec).metric
    figures = summarised(confirmations.figures(own), trial.metrics, quality)
    if figures is None:
        return None
    settings = confirmations.settings_of(own[0])
    return ConfirmedFigures(quality=quality, epochs=settings.epochs, data=settings.data, figures=figures)


def _job_of(connection: Connection, trial: Trial, job_id: int) -> Job:
    """Return a complete job that trained a trial's network."""
    try:
        job = jobs.read_job(connection, job_id)
    except NotFound as error:
        raise InvalidInput(FieldError("/job", str(error), _allowed(connection, trial))) from error
    if job.trial_id != trial.id or job.kind not in ("confirm", "retrain"):
        message = f"job {job_id} trained no network of trial {trial.number}"
        raise InvalidInput(FieldError("/job", message, _allowed(connection, trial)))
    if job.state != "complete":
        reason = f": {job.reason}" if job.reason else ""
        raise Conflict(f"job {job_id} is {job.state}{reason}; only what a complete job trained is exported")
    return job


def _allowed(connection: Connection, trial: Trial) -> str:
    found = jobs.read_jobs(connection, trial_id=trial.id, state="complete", limit=MAX_NAMED)
    ids = [str(job.id) for job in found if job.kind in ("confirm", "retrain")]
    return ", ".join(ids) or f"none: nothing of trial {trial.number} was retrained or confirmed"


def _final_run(job: Job, spec: StudySpec, dataset_sha256: str) -> FinalRun:
    wanted, found = job.payload, job.result
    return FinalRun.model_validate(
        {
            "job": job.id,
            "kind": job.kind,
            "epochs": found["epochs"],
            "seed": found["seed"],
            "data": found["data"],
            "dataset": wanted.get("dataset") or spec.dataset,
            "dataset_sha256": wanted.get("dataset_sha256") or dataset_sha256,
            **found["normalisation"],
            "artifacts": {kind: job.artifacts[name] for kind, name in KINDS.items()},
        }
    )
