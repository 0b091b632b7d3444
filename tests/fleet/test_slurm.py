"""The SLURM example, run by bash with a stand-in for `srun`; no cluster runs it here."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from workers.cli import _checked, _parser

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "slurm" / "worker.sbatch"
LINES = SCRIPT.read_text().splitlines()
OPTIONS = dict(
    line.removeprefix("#SBATCH --").partition("=")[::2] for line in LINES if line.startswith("#SBATCH")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder whose `srun` prints what it is to run."""
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nprintf "%s\\n" "$@"; echo "home=$NAS_HOME"\n')
    srun.chmod(0o755)
    return tmp_path


def submitted(folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SLURM_JOB_ID": "71",
        "SLURM_ARRAY_JOB_ID": "70",
        "SLURM_ARRAY_TASK_ID": "3",
        **settings,
    }
    return subprocess.run(
        ["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_bash_reads_it_and_it_stops_at_errors() -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)], check=False).returncode == 0
    assert LINES[0] == "#!/bin/bash"
    assert "set -euo pipefail" in LINES


def test_options_stand_before_the_first_command() -> None:
    first = next(index for index, line in enumerate(LINES) if line and not line.startswith("#"))
    assert not [line for line in LINES[first:] if line.startswith("#SBATCH")]


def test_an_array_of_workers_with_a_gpu_each_is_told_before_its_time_is_up() -> None:
    assert re.fullmatch(r"\d+-\d+", OPTIONS["array"])
    assert (OPTIONS["ntasks"], OPTIONS["gpus-per-task"]) == ("1", "1")
    # Without "B:" the steps get the signal, not the script.
    assert re.fullmatch(r"TERM@\d+", OPTIONS["signal"])


def test_it_starts_a_worker_that_keeps_its_name(folder: Path) -> None:
    (folder / ".nas-worker").mkdir()
    (folder / ".nas-worker" / "token").write_text("nw_0123456789abcdef\n")
    done = submitted(folder, NAS_SERVER="https://nas.example.org")
    assert done.returncode == 0, done.stderr
    program, *arguments, home = done.stdout.splitlines()
    assert program == "nas-worker"
    options = _checked(_parser(), _parser().parse_args(arguments))
    assert options.name == "slurm-70-3"
    assert options.server == "https://nas.example.org"
    assert options.token_file == folder / ".nas-worker" / "token"
    assert home == f"home={folder}/.nas-worker"
    # Who lists processes sees no token.
    assert "nw_" not in done.stdout


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "set NAS_SERVER"), ({"NAS_SERVER": "https://nas.example.org"}, "nas token create --role worker")],
)
def test_what_is_missing_is_said(folder: Path, settings: dict[str, str], words: str) -> None:
    done = submitted(folder, **settings)
    assert done.returncode != 0
    assert words in done.stderr
    assert done.stdout == ""


def test_variables_are_quoted() -> None:
    commands = [line.strip() for line in LINES if line and not line.startswith("#")]
    bare = [
        line
        for line in commands
        if re.search(r"(?<![\"{=])\$\{?[A-Za-z_]", re.sub(r'"[^"]*"', "", line)) and "[[" not in line
    ]
    assert bare == []
