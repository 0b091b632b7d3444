"""What a worker needs: seconds from its start to its first training step, and its peak memory.

A worker process starts on four fresh data folders (nothing measured, nothing calibrated) and once more on
each of them, on a study of CIFAR-10 with latency as an objective, and trains a candidate each time.

    python -m benchmarks.worker [--quick] [--data FOLDER]

FOLDER holds cifar10-images.zip.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.report import conditions, print_table, write
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Augmentation, Budget, Recipe, Search, StudySpec, Training

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
STARTS = 4
WAIT_S = 600.0
RECIPE = Recipe(augmentation=Augmentation(crop_padding=4, horizontal_flip=True))


@dataclass(frozen=True)
class Start:
    """One start of a worker."""

    folder: str
    to_first_step_s: float
    peak_rss_mb: float


def started(service: Service, folder: str, seed: int) -> Start:
    """Start a worker on a study of one trial; the first epoch's event tells when its first step began."""
    spec = StudySpec(
        name=f"start {seed}",
        dataset="cifar10-images",
        training=Training(epochs=1, recipe=RECIPE),
        budget=Budget(trials=1),
        search=Search(seed=seed),
    )
    study = service.create_study(spec).study
    command = [
        sys.executable,
        "-m",
        "workers",
        "--name",
        "measured",
        "--study",
        str(study),
        "--until-finished",
    ]
    environment = {**os.environ, "NAS_HOME": str(service.settings.data_home), "OMP_NUM_THREADS": "1"}
    began = datetime.now(UTC)
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    peak = 0.0
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        peak = max(peak, _peak_mb(process.pid))
        time.sleep(0.02)
    process.kill()
    epoch = next(event for event in service.events(study_id=study) if event.kind == "trial.epoch")
    (point,) = service.curve(epoch.data["trial"])
    return Start(folder, (epoch.at - began).total_seconds() - point.seconds, peak)


def _peak_mb(pid: int) -> float:
    """Read a process's largest resident set so far; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), "0")
    return int(peak) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one start on a fresh folder")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of cifar10-images.zip")
    options = parser.parse_args()
    starts: list[Start] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1 if options.quick else STARTS):
            service = Service.open(Settings(home=Path(folder) / str(number), database_url=None))
            service.add_dataset(options.data / "cifar10-images.zip", "cifar10-images")
            starts.append(started(service, "fresh", seed=number))
            if not options.quick:
                starts.append(started(service, "used", seed=100 + number))
            service.close()
    rows = [[s.folder, f"{s.to_first_step_s:.1f}", f"{s.peak_rss_mb:.0f}"] for s in starts]
    print_table(["data folder", "to first step s", "peak MB"], rows)
    content = {
        "conditions": conditions("torch", "optuna", "onnxruntime"),
        "starts": [asdict(s) for s in starts],
    }
    print(  # noqa: T201
        f"median {median(s.to_first_step_s for s in starts):.1f} s, "
        f"largest peak {max(s.peak_rss_mb for s in starts):.0f} MB"
    )
    if not options.quick:
        print(f"written to {write('worker', content)}")  # noqa: T201


if __name__ == "__main__":
    main()
