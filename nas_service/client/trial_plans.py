"""What can be done with one trial; the first parameter is its handle."""

import hashlib
from pathlib import Path
from typing import TypeVar

from nas_service.client import calls
from nas_service.client.call import ask
from nas_service.client.handle import TrialHandle
from nas_service.connection import Damaged, received
from nas_service.errors import NotFound
from nas_service.exchange import Plan
from nas_service.measurements import StoredMeasurement
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
    part, digest = target.with_name(f".part-{target.name}"), hashlib.sha256()
    try:
        with part.open("wb") as stream:

            def write(piece: bytes) -> None:
                digest.update(piece)
                stream.write(piece)

            yield from received(f"/trials/{trial.id}/files/{kind}", write)
        if digest.hexdigest() != sha256:
            raise Damaged(f"{kind} of trial {trial.id} is damaged: its sha256 is {digest.hexdigest()}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
