"""What can be done with one trial; the first parameter is its handle."""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

from nas_service.client import calls
from nas_service.client.call import ask
from nas_service.client.feeds import POLL_S
from nas_service.client.handle import TrialHandle
from nas_service.connection import Damaged, received
from nas_service.errors import NotFound, ServiceError
from nas_service.exchange import Pause, Plan
from nas_service.exports import ExportRequest
from nas_service.measurements import StoredMeasurement
from nas_service.spec_file import read_model
from nas_service.views import CurvePoint, EvaluationView, TrialView

Handle = TypeVar("Handle", bound=TrialHandle)


def refresh(trial: Handle) -> Plan[Handle]:
    """Ask how the trial stands now."""
    trial.view = yield from ask(calls.trial(trial.id))
    return trial


def details(trial: TrialHandle) -> Plan[TrialView]:
    """Return everything known of the trial: architecture, parameters, timings, files."""
    return (yield from ask(calls.trial(trial.id)))


def curve(trial: TrialHandle) -> Plan[list[CurvePoint]]:
    """Return the learning curve, a point an epoch."""
    return (yield from ask(calls.curve(trial.id)))


def evaluation(trial: TrialHandle) -> Plan[EvaluationView]:
    """Return how the network answers on the validation part: confusion matrix, figures by class, mistakes."""
    return (yield from ask(calls.evaluation(trial.id)))


def latencies(trial: TrialHandle) -> Plan[list[StoredMeasurement]]:
    """Return what was measured of the folded network, on all devices."""
    return (yield from ask(calls.latencies(trial.id)))


def download(trial: TrialHandle, kind: str, path: Path) -> Plan[Path]:
    """Download one of the trial's files, checked by its sha256, and return where it lies.

    Args:
        trial: Whose file.
        kind: `weights` (safetensors), `architecture` (JSON), ...; `details().artifacts` lists them.
        path: The file to write, or a folder to write it into; replaced only by a whole file.

    Raises:
        NotFound: The trial has no such file.
        Unavailable: What came is damaged.
    """
    view = yield from details(trial)
    sha256 = view.artifacts.get(kind)
    if sha256 is None:
        there_is = ", ".join(view.artifacts) or "none yet"
        raise NotFound(f"trial {trial.id} has no file {kind!r}; there is: {there_is}")
    target = path / f"study-{view.study_id}-trial-{view.number}.{kind}" if path.is_dir() else path
    return (yield from _fetch(f"/trials/{trial.id}/files/{kind}", sha256, target))


def export(trial: TrialHandle, /, folder: Path, *, poll_s: float = POLL_S, **wanted: Any) -> Plan[list[Path]]:
    """Have a worker export the trained network, wait for it, and return the files, which lie in `folder`.

    Args:
        trial: Whose network.
        folder: Made if missing; files of the same names are replaced, each by a whole and checked one.
        poll_s: Seconds between two looks.
        wanted: Fields of `nas_service.exports.ExportRequest`: `formats=["onnx", "card"], target="cpu-onnx"`.

    Raises:
        Conflict: The trial has no trained network.
        ServiceError: The export failed; says why.
    """
    job = yield from ask(calls.export_trial(trial.id, read_model(wanted, ExportRequest)))
    while not job.has_ended:
        yield Pause(poll_s)
        job = yield from ask(calls.job(job.id))
    if job.state != "complete":
        raise ServiceError(f"job {job.id} {job.state}: {job.reason}")
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, sha256 in job.artifacts.items():
        files.append((yield from _fetch(f"/jobs/{job.id}/files/{name}", sha256, folder / Path(name).name)))
    return files


def _fetch(address: str, sha256: str, target: Path) -> Plan[Path]:
    """Download a file; a damaged one is not kept."""
    part, digest = target.with_name(f".part-{target.name}"), hashlib.sha256()
    try:
        with part.open("wb") as stream:

            def write(piece: bytes) -> None:
                digest.update(piece)
                stream.write(piece)

            yield from received(address, write)
        if digest.hexdigest() != sha256:
            raise Damaged(f"{address} is damaged: its sha256 is {digest.hexdigest()}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
