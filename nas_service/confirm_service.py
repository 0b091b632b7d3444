"""The service's part on networks that are trained for good: confirming a front, training one once more."""

from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

import numpy as np
from sqlalchemy import Connection

from nas_service.confirmations import (
    ConfirmationView,
    ConfirmedMember,
    ConfirmRequest,
    ConfirmRun,
    RetrainRequest,
)
from nas_service.confirming import quality_of, summarised
from nas_service.errors import Conflict, FieldError, InvalidInput, no_such
from nas_service.exports import check_exportable
from nas_service.fitting import fitted
from nas_service.front import hypervolume, non_dominated
from nas_service.job_service import JobService
from nas_service.jobs import Job
from nas_service.store import catalogue, confirmations, studies, trials
from nas_service.studies import StudySpec
from nas_service.trials import Trial
from nas_service.views import Confirmed, DatasetView, FrontMember, FrontView, JobView


class ConfirmService(JobService):
    """The methods of `Service` on confirmations and final trainings."""

    def confirm(self, study_id: int, request: ConfirmRequest) -> ConfirmationView:
        """Have members of the front trained again from scratch, with several seeds, and tested once each.

        What was asked for before, with the same epochs and data, is not trained again.

        Raises:
            Conflict: The study has no complete trial yet, or one that was named is not complete.
            NotFound: It has no trial of a number that was named.
        """
        with self._writing() as connection:
            study = studies.locked(connection, study_id)
            spec = StudySpec.model_validate(study["spec"])
            numbers = dict.fromkeys(request.trials)
            named = [_complete(connection, study_id, number) for number in numbers] or None
            asked = confirmations.begin(connection, study_id, spec, request, named)
            if not asked and not confirmations.read(connection, study_id):
                raise Conflict(f"study {study_id} has no front to confirm: no feasible trial is complete")
        return self._confirmation(study_id, confirmations.Settings.of(request, spec))

    def confirmation(self, study_id: int) -> ConfirmationView:
        """Return how the confirmation of a study's front stands; without members before it was asked for.

        Where it was confirmed with several epochs or data, what was begun last is told.
        """
        return self._confirmation(study_id)

    def _confirmation(
        self, study_id: int, settings: confirmations.Settings | None = None
    ) -> ConfirmationView:
        with self._reading() as connection:
            spec = StudySpec.model_validate(studies.read_study(connection, study_id)["spec"])
            runs = confirmations.current(confirmations.read(connection, study_id), settings)
            by_trial = confirmations.by_trial(runs)
            rows = {row["id"]: row for row in trials.read_listed(connection, list(by_trial))}
        quality = quality_of(spec).metric
        members = [
            ConfirmedMember(
                trial=trial_id,
                number=rows[trial_id]["number"],
                searched=rows[trial_id]["metrics"].get(quality),
                confirmed=summarised(confirmations.figures(own), rows[trial_id]["metrics"], quality),
                runs=[_run_view(job) for job in own],
            )
            for trial_id, own in by_trial.items()
        ]
        optimisms = [one.confirmed.optimism for one in members if one.confirmed]
        known = [optimism for optimism in optimisms if optimism is not None]
        settings = confirmations.settings_of(runs[0]) if runs else None
        return ConfirmationView(
            study=study_id,
            quality=quality,
            epochs=settings.epochs if settings else None,
            data=settings.data if settings else None,
            runs_complete=sum(job.state == "complete" for job in runs),
            runs_failed=sum(job.state in ("failed", "cancelled") for job in runs),
            runs=len(runs),
            members=sorted(members, key=lambda member: member.number),
            optimism=fmean(known) if known else None,
        )

    def retrain(self, trial_id: int, request: RetrainRequest) -> JobView:
        """Have a trial's network trained once more; the job holds its weights and its figures.

        Raises:
            NotFound: There is no such trial.
            Conflict: Weights are to be taken over, and the trial left none.
            InvalidInput: The data set is unknown or does not fit, or there are too few stages to freeze.
        """
        with self._reading() as connection:
            trial = trials.read_trial(connection, trial_id)
            if trial is None:
                raise no_such("trial", trial_id)
            dataset = _dataset(connection, request.dataset)
        _check_retrainable(trial, request, dataset)
        payload = {
            **request.model_dump(exclude={"dataset", "from_weights"}),
            "dataset": dataset.name if dataset else None,
            "dataset_sha256": dataset.sha256 if dataset else None,
            "weights": trial.artifacts["weights"] if request.from_weights else None,
        }
        return self.create_job("retrain", study_id=trial.study_id, trial_id=trial.id, payload=payload)

    def _with_confirmed(self, view: FrontView, quality: str) -> FrontView:
        """Return a front whose members tell what was confirmed of them."""
        known = self._confirmed(view.study, {member.trial: member.values for member in view.front}, quality)
        if not known:
            return view
        members = [member.model_copy(update={"confirmed": known.get(member.trial)}) for member in view.front]
        return view.model_copy(update={"front": members})

    def _confirmed_front(
        self, view: FrontView, read_members: Callable[[list[int]], list[FrontMember]], quality: str
    ) -> FrontView:
        """Return the front among what was confirmed, by means on the test part.

        Its hypervolume has the searched front's reference point.

        Args:
            view: The searched front.
            read_members: Returns the details of trials by id; those that no longer count are left out.
            quality: What optimism is told of.
        """
        with self._reading() as connection:
            runs = confirmations.current(confirmations.read(connection, view.study))
        members = read_members(list(confirmations.by_trial(runs)))
        known = self._confirmed(view.study, {member.trial: member.values for member in members}, quality)
        tested = [
            member.model_copy(
                update={
                    "values": {**member.values, **known[member.trial].mean},
                    "confirmed": known[member.trial],
                }
            )
            for member in members
            if member.trial in known
        ]
        names = [objective["metric"] for objective in view.objectives]
        directions: list[Any] = [objective["goal"] for objective in view.objectives]
        rows = [[member.values.get(name, np.nan) for name in names] for member in tested]
        values = np.array(rows, np.float64).reshape(len(tested), len(names))
        mask = non_dominated(values, directions)
        return view.model_copy(
            update={
                "form": "confirmed",
                "front": [member for member, is_member in zip(tested, mask, strict=True) if is_member],
                "hypervolume": hypervolume(values, view.reference_point, directions),
                "hypervolume_history": [],
            }
        )

    def _confirmed(
        self, study_id: int, searched: Mapping[int, Mapping[str, float]], quality: str
    ) -> dict[int, Confirmed]:
        with self._reading() as connection:
            runs = confirmations.by_trial(confirmations.current(confirmations.read(connection, study_id)))
        told = {
            trial_id: summarised(confirmations.figures(own), searched[trial_id], quality)
            for trial_id, own in runs.items()
            if trial_id in searched
        }
        return {trial_id: confirmed for trial_id, confirmed in told.items() if confirmed is not None}


def _complete(connection: Connection, study_id: int, number: int) -> int:
    trial = trials.read_numbered(connection, study_id, number)
    if trial is None:
        raise no_such("trial", number, f"study {study_id}")
    if trial.state != "complete":
        raise Conflict(
            f"trial {number} of study {study_id} is {trial.state}; only complete trials are confirmed"
        )
    return trial.id


def _run_view(job: Job) -> ConfirmRun:
    return ConfirmRun(
        job=job.id,
        run=job.payload["run"],
        state=job.state,
        reason=job.reason,
        metrics=job.result.get("metrics", {}),
        artifacts=job.artifacts,
    )


def _dataset(connection: Connection, name: str | None) -> DatasetView | None:
    if name is None:
        return None
    found = catalogue.read_dataset(connection, name)
    if found is None:
        known = ", ".join(dataset.name for dataset in catalogue.read_datasets(connection))
        raise InvalidInput(FieldError("/dataset", f"unknown data set {name[:80]!r}", known))
    return found


def _check_retrainable(trial: Trial, request: RetrainRequest, dataset: DatasetView | None) -> None:
    if request.freeze and not request.from_weights:
        raise InvalidInput(FieldError("/freeze", "stages are frozen only with from_weights: true", "0"))
    if request.from_weights:
        check_exportable(trial)
    stages = len(trial.architecture["stages"])
    if request.freeze > stages:
        raise InvalidInput(FieldError("/freeze", f"the network has {stages} stages", f"0 to {stages}"))
    if dataset is not None:
        fitted(trial.architecture, dataset.input_shape, dataset.classes)
