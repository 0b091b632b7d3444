"""The service on this machine's data folder, which writes into the audit log whom it serves."""

import getpass
import socket
from pathlib import Path
from typing import Any

from nas_service.access import NewToken, Role, TokenCreate, TokenView
from nas_service.confirmations import ConfirmationView, ConfirmRequest, RetrainRequest
from nas_service.exports import ExportRequest
from nas_service.service import Service
from nas_service.store import audit
from nas_service.studies import StudyChange, StudySpec
from nas_service.views import DatasetView, JobView, StudyView, TrialView


class LocalService(Service):
    """As `Service`; what changes something, or hands out a file, is audited as done by the system's user."""

    def create_study(self, spec: StudySpec) -> StudyView:
        study = super().create_study(spec)
        self._note("study.launch", f"studies/{study.study}")
        return study

    def pause(self, study_id: int) -> StudyView:
        study = super().pause(study_id)
        self._note("study.pause", f"studies/{study_id}")
        return study

    def resume(self, study_id: int) -> StudyView:
        study = super().resume(study_id)
        self._note("study.resume", f"studies/{study_id}")
        return study

    def drain(self, study_id: int) -> StudyView:
        study = super().drain(study_id)
        self._note("study.drain", f"studies/{study_id}")
        return study

    def cancel(self, study_id: int) -> StudyView:
        study = super().cancel(study_id)
        self._note("study.cancel", f"studies/{study_id}")
        return study

    def delete(self, study_id: int) -> None:
        super().delete(study_id)
        self._note("study.delete", f"studies/{study_id}")

    def change_study(self, study_id: int, change: StudyChange, *, sequence: int | None = None) -> StudyView:
        study = super().change_study(study_id, change, sequence=sequence)
        self._note("study.change", f"studies/{study_id}")
        return study

    def confirm(self, study_id: int, request: ConfirmRequest) -> ConfirmationView:
        view = super().confirm(study_id, request)
        self._note("study.confirm", f"studies/{study_id}")
        return view

    def retrain(self, trial_id: int, request: RetrainRequest) -> JobView:
        job = super().retrain(trial_id, request)
        self._note("trial.retrain", f"trials/{trial_id}")
        return job

    def enqueue(self, study_id: int, architecture: dict[str, Any]) -> TrialView:
        trial = super().enqueue(study_id, architecture)
        self._note("trial.enqueue", f"studies/{study_id}/trials/{trial.number}")
        return trial

    def add_dataset(self, path: Path, name: str | None) -> DatasetView:
        dataset = super().add_dataset(path, name)
        self._note("dataset.upload", f"datasets/{dataset.name}")
        return dataset

    def delete_dataset(self, name: str) -> None:
        super().delete_dataset(name)
        self._note("dataset.delete", f"datasets/{name}")

    def export_trial(self, trial_id: int, request: ExportRequest) -> JobView:
        job = super().export_trial(trial_id, request)
        self._note("trial.export", f"trials/{trial_id}")
        return job

    def cancel_job(self, job_id: int) -> JobView:
        job = super().cancel_job(job_id)
        self._note("job.cancel", f"jobs/{job_id}")
        return job

    def artifact_path(self, sha256: str) -> Path:
        path = super().artifact_path(sha256)
        self._note("artifact.download", f"artifacts/{sha256}")
        return path

    def create_token(self, wanted: TokenCreate) -> NewToken:
        made = super().create_token(wanted)
        self._note("token.create", f"tokens/{made.id} {made.name} {made.role}")
        return made

    def revoke_token(self, token_id: int) -> TokenView:
        revoked = super().revoke_token(token_id)
        self._note("token.revoke", f"tokens/{revoked.id} {revoked.name} {revoked.role}")
        return revoked

    def _note(self, action: str, target: str) -> None:
        with self._writing() as connection:
            deed = audit.Deed(action=action, target=target, actor=_person(), role=Role.admin.value)
            audit.append(connection, deed)


def _person() -> str:
    """Return the system's user and machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container may run as a number that has no name.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
