"""A real candidate that is too large for its process: the trial fails with the reason, the worker lives."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nas_service.ledger.sql import SqlLedger
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Objective, Recipe, StudySpec, Training
from nas_service.trials import WorkerInfo
from workers.memory import limit_memory
from workers.worker import Worker

ROOT = Path(__file__).resolve().parents[2]


def volume_network(channels: int) -> dict[str, object]:
    """Describe a network whose first map holds so many channels of a 48 x 48 x 48 volume."""
    stage = {
        "branches": [[{"op": "conv", "channels": channels, "kernel": 1}]],
        "channels": channels,
        "downsample": "max",
    }
    return {"input_shape": [1, 48, 48, 48], "classes": 2, "stages": [stage]}


def run(folder: Path) -> None:
    """Train candidates that need much too much, a little too much and little, in a process of 1.5 GB."""
    service = Service.open(Settings(home=folder / "home", database_url=None))
    volumes = np.random.default_rng(0).integers(0, 256, (48, 1, 48, 48, 48), dtype=np.uint8)
    np.savez(folder / "volumes.npz", x_train=volumes, y_train=np.arange(48) % 2)
    service.add_dataset(folder / "volumes.npz", "volumes")
    spec = StudySpec(
        dataset="volumes",
        space="two_conv",
        objectives=(Objective(metric="accuracy"), Objective(metric="params")),
        training=Training(epochs=1, recipe=Recipe(precision="fp32")),
        budget=Budget(trials=3),
    )
    study = service.create_study(spec).study
    wanted = [service.enqueue(study, volume_network(channels)).id for channels in (768, 320, 2)]
    limit_memory(gigabytes=1.5)
    ledger = SqlLedger(service.engine, settings=service.settings)
    information = WorkerInfo(name="small", host="here", pid=1)
    spool = folder / "spool"
    Worker(ledger, information, spool, study_id=study, until_finished=True, at_once=2).run()
    trials = [service.trial(trial) for trial in wanted]
    sys.stdout.write(json.dumps([[trial.state, trial.reason] for trial in trials]))


@pytest.mark.slow
def test_a_candidate_too_large_for_memory_fails_and_the_next_completes(tmp_path: Path) -> None:
    code = f"from tests.workers.test_out_of_memory import run, Path; run(Path({str(tmp_path)!r}))"
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert answer.returncode == 0, answer.stderr[-3000:]
    large, middle, small = json.loads(answer.stdout)
    assert large == [
        "failed",
        "out of memory: does not fit alone in 4 pieces with checkpointing; this process may use 1.5 GB",
    ]
    again = "trained alone in 4 pieces with checkpointing, after it had run out of memory"
    assert middle == ["complete", again]
    assert small == ["complete", None]
