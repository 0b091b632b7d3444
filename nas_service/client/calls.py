"""Every request of the interface that is for people; each is written here once, for all clients.

A function's parameters, its answer and the errors behind it are those of the method of `Service` of its name.
"""

import uuid
from collections.abc import Mapping
from typing import Any, BinaryIO

from nas_service.access import AuditEntry, NewToken, TokenCreate, TokenView
from nas_service.arms import ArmsView
from nas_service.client.call import Call, get, given, segment
from nas_service.confirmations import ConfirmationView, ConfirmRequest, RetrainRequest
from nas_service.descriptions import ArchitectureView
from nas_service.exports import ExportRequest
from nas_service.jobs import JobKind, JobState
from nas_service.measurements import StoredMeasurement
from nas_service.studies import StudyChange, StudySpec
from nas_service.trials import TrialState
from nas_service.views import (
    CurvePoint,
    DatasetView,
    DeviceView,
    EvaluationView,
    EventView,
    FamilyView,
    FrontForm,
    FrontView,
    JobView,
    Page,
    Preflight,
    RungPlace,
    SpaceVersion,
    StudyResult,
    StudyView,
    TrialSummary,
    TrialView,
    WorkerView,
)

# The largest page there is: fewest requests for those who want all.
ALL = 500

# Studies


def create_study(spec: StudySpec) -> Call[StudyView]:
    """Launch a study; sent again under one key where no answer came, it is launched once."""
    return Call(
        StudyView,
        "POST",
        "/studies",
        body=spec.model_dump(mode="json"),
        headers=_once(),
        may_repeat=True,
    )


def preflight(spec: StudySpec, samples: int = 400) -> Call[Preflight]:
    """Report what is known of a study before any training."""
    query = {"validate_only": "true", "samples": samples}
    return Call(Preflight, "POST", "/studies", query, spec.model_dump(mode="json"), may_repeat=True)


def studies(
    *,
    page_size: int = 50,
    page_token: str | None = None,
    state: str | None = None,
    name: str | None = None,
) -> Call[Page[StudyView]]:
    """List studies, the newest first; of a state, and with a text in their names, if asked for."""
    query = {"page_size": page_size, "page_token": page_token, "state": state, "name": name}
    return get(Page[StudyView], "/studies", **query)


def study(study_id: int) -> Call[StudyView]:
    """Return one study."""
    return get(StudyView, f"/studies/{study_id}")


def find_study(id_or_name: str) -> Call[StudyView]:
    """Return the study of an id, or the newest of a name."""
    return get(StudyView, "/studies:find", name=id_or_name)


def result(study_id: int) -> Call[StudyResult]:
    """Return a study with its front."""
    return get(StudyResult, f"/studies/{study_id}/result")


def pause(study_id: int) -> Call[StudyView]:
    """Propose nothing more until resumed."""
    return Call(StudyView, "POST", f"/studies/{study_id}:pause")


def resume(study_id: int) -> Call[StudyView]:
    """Go on with a paused study."""
    return Call(StudyView, "POST", f"/studies/{study_id}:resume")


def drain(study_id: int) -> Call[StudyView]:
    """Finish what runs, propose nothing."""
    return Call(StudyView, "POST", f"/studies/{study_id}:drain")


def cancel(study_id: int) -> Call[StudyView]:
    """End a study now."""
    return Call(StudyView, "POST", f"/studies/{study_id}:cancel")


def delete(study_id: int) -> Call[None]:
    """Delete an ended study and its trials."""
    return Call(type(None), "DELETE", f"/studies/{study_id}")


def clone(study_id: int, changes: Mapping[str, Any] | None = None) -> Call[StudyView]:
    """Launch a study with the spec of another one, and changes to it."""
    return Call(
        StudyView,
        "POST",
        f"/studies/{study_id}:clone",
        body=dict(changes or {}),
        headers=_once(),
        may_repeat=True,
    )


def change_space(
    study_id: int, space: str | dict[str, Any], *, sequence: int | None = None
) -> Call[StudyView]:
    """Widen or narrow a study's space; `Stale` unless the study's sequence is still `sequence`."""
    return change_study(study_id, StudyChange(space=space), sequence=sequence)


def change_study(study_id: int, change: StudyChange, *, sequence: int | None = None) -> Call[StudyView]:
    """Give a study another name, budget, space or limits; `Stale` unless its sequence is still `sequence`."""
    return Call(
        StudyView,
        "PATCH",
        f"/studies/{study_id}",
        body=change.model_dump(mode="json", exclude_unset=True),
        headers={} if sequence is None else {"If-Match": f'"{study_id}-{sequence}"'},
        # With a sequence the second of two equal requests would be refused.
        may_repeat=sequence is None,
    )


def spaces(study_id: int, page_token: str | None = None) -> Call[Page[SpaceVersion]]:
    """Return all versions of a study's space, the first one first."""
    return get(Page[SpaceVersion], f"/studies/{study_id}/spaces", page_size=ALL, page_token=page_token)


def front(
    study_id: int, metrics: tuple[str, ...] | None = None, form: FrontForm = "searched"
) -> Call[FrontView]:
    """Return the Pareto front over the objectives, or over given metrics, as searched or as confirmed."""
    names = ",".join(metrics) if metrics else None
    return get(FrontView, f"/studies/{study_id}/front", metrics=names, form=form)


def arms(study_id: int) -> Call[ArmsView]:
    """Return what the search and its control arm found for the epochs that each trained."""
    return get(ArmsView, f"/studies/{study_id}/arms")


def confirm(study_id: int, request: ConfirmRequest) -> Call[ConfirmationView]:
    """Have members of the front trained again from scratch and tested; what was asked before is not again."""
    body = request.model_dump(mode="json")
    return Call(ConfirmationView, "POST", f"/studies/{study_id}:confirm", body=body, may_repeat=True)


def confirmation(study_id: int) -> Call[ConfirmationView]:
    """Return how the confirmation of a study's front stands."""
    return get(ConfirmationView, f"/studies/{study_id}/confirmation")


# Trials


def trials(
    study_id: int,
    *,
    state: TrialState | None = None,
    conditions: str = "",
    order_by: str = "number",
    page_size: int = 50,
    page_token: str | None = None,
) -> Call[Page[TrialSummary]]:
    """List trials of a study: by `number`, `newest`, a metric with the best first, or `-metric`."""
    return get(
        Page[TrialSummary],
        f"/studies/{study_id}/trials",
        state=state,
        filter=conditions or None,
        order_by=order_by,
        page_size=page_size,
        page_token=page_token,
    )


def trial(trial_id: int) -> Call[TrialView]:
    """Return one trial in full."""
    return get(TrialView, f"/trials/{trial_id}")


def trial_by_number(study_id: int, number: int) -> Call[TrialView]:
    """Return a study's trial by its number."""
    return get(TrialView, f"/studies/{study_id}/trials/{number}")


def curve(trial_id: int) -> Call[list[CurvePoint]]:
    """Return a trial's learning curve."""
    return get(list[CurvePoint], f"/trials/{trial_id}/curve")


def evaluation(trial_id: int) -> Call[EvaluationView]:
    """Return how a trial's network answers on the validation part; `NotFound` says why there is none."""
    return get(EvaluationView, f"/trials/{trial_id}/evaluation")


def rung_places(trial_id: int) -> Call[list[RungPlace]]:
    """Return where a trial stands now at each rung of early stopping that it reached."""
    return get(list[RungPlace], f"/trials/{trial_id}/rungs")


def latencies(trial_id: int) -> Call[list[StoredMeasurement]]:
    """Return what was measured of a trial's folded network, on all devices, by device and machine."""
    return get(list[StoredMeasurement], f"/trials/{trial_id}/latencies")


def enqueue(study_id: int, architecture: dict[str, Any]) -> Call[TrialView]:
    """Have a given architecture trained within a study."""
    return Call(TrialView, "POST", f"/studies/{study_id}/trials", body=architecture)


# Jobs


def export_trial(trial_id: int, request: ExportRequest) -> Call[JobView]:
    """Have a worker write and verify the files of a trained network; the job holds them at its end."""
    return Call(
        JobView,
        "POST",
        f"/trials/{trial_id}:export",
        body=request.model_dump(mode="json"),
        headers=_once(),
        may_repeat=True,
    )


def retrain(trial_id: int, request: RetrainRequest) -> Call[JobView]:
    """Have a trial's network trained once more; the job holds its weights and its figures."""
    return Call(
        JobView,
        "POST",
        f"/trials/{trial_id}:retrain",
        body=request.model_dump(mode="json"),
        headers=_once(),
        may_repeat=True,
    )


def job(job_id: int) -> Call[JobView]:
    """Return one job."""
    return get(JobView, f"/jobs/{job_id}")


def jobs(
    *,
    study: int | None = None,
    trial: int | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    page_size: int = 50,
    page_token: str | None = None,
) -> Call[Page[JobView]]:
    """List jobs, the newest first; of a study, a trial, a kind or a state where one is given."""
    return get(
        Page[JobView],
        "/jobs",
        study=study,
        trial=trial,
        kind=kind,
        state=state,
        page_size=page_size,
        page_token=page_token,
    )


def cancel_job(job_id: int) -> Call[JobView]:
    """End a job that waits or runs; its worker abandons it within seconds."""
    return Call(JobView, "POST", f"/jobs/{job_id}:cancel")


# Catalogue


def families(page_token: str | None = None) -> Call[Page[FamilyView]]:
    """List the families of architectures that ship."""
    return get(Page[FamilyView], "/families", page_size=ALL, page_token=page_token)


def family(name: str) -> Call[FamilyView]:
    """Return one family and its space."""
    return get(FamilyView, f"/families/{segment(name)}")


def describe(architecture: dict[str, Any]) -> Call[ArchitectureView]:
    """Return an architecture's canonical form, exact cost and pictures."""
    return Call(ArchitectureView, "POST", "/architectures:describe", body=architecture, may_repeat=True)


def datasets(page_token: str | None = None) -> Call[Page[DatasetView]]:
    """List the registered data sets, the built-in digits among them."""
    return get(Page[DatasetView], "/datasets", page_size=ALL, page_token=page_token)


def dataset(name: str) -> Call[DatasetView]:
    """Return one data set."""
    return get(DatasetView, f"/datasets/{segment(name)}")


def delete_dataset(name: str) -> Call[None]:
    """Delete a data set that no study uses."""
    return Call(type(None), "DELETE", f"/datasets/{segment(name)}")


def upload(file: BinaryIO, size: int, filename: str, name: str | None) -> Call[DatasetView]:
    """Send a file and register it as a data set."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    query = given({"filename": filename, "name": name})
    return Call(DatasetView, "POST", "/datasets", query, headers=headers, file=file)


def workers(page_token: str | None = None) -> Call[Page[WorkerView]]:
    """List workers, alive or not."""
    return get(Page[WorkerView], "/workers", page_size=ALL, page_token=page_token)


def devices(page_token: str | None = None) -> Call[Page[DeviceView]]:
    """List where latency was, or is to be, measured."""
    return get(Page[DeviceView], "/devices", page_size=ALL, page_token=page_token)


def events(after: int = 0, study_id: int | None = None, limit: int = 500) -> Call[list[EventView]]:
    """Return the events behind a sequence number."""
    return get(list[EventView], "/events", after=after, study=study_id, limit=limit)


# Access


def tokens(page_token: str | None = None) -> Call[Page[TokenView]]:
    """List all tokens ever made, the newest first."""
    return get(Page[TokenView], "/tokens", page_size=ALL, page_token=page_token)


def create_token(wanted: TokenCreate) -> Call[NewToken]:
    """Make a token; what is returned is the only place that ever shows it."""
    return Call(NewToken, "POST", "/tokens", body=wanted.model_dump(mode="json"))


def revoke_token(token_id: int) -> Call[TokenView]:
    """Make a token good for nothing; servers refuse it within two seconds."""
    return Call(TokenView, "POST", f"/tokens/{token_id}:revoke", may_repeat=True)


def audit(*, page_size: int = 50, page_token: str | None = None) -> Call[Page[AuditEntry]]:
    """List who did what, the newest first."""
    return get(Page[AuditEntry], "/audit", page_size=page_size, page_token=page_token)


def _once() -> dict[str, str]:
    """Return a header by which the server knows a request that is sent again."""
    return {"Idempotency-Key": uuid.uuid4().hex}
