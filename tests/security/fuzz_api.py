"""Schemathesis over the whole OpenAPI document: `python tests/security/fuzz_api.py [EXAMPLES] [SEED]`.

EXAMPLES (100) is how many requests each operation gets in a phase that draws them, SEED (1) what they are
drawn from. All checks are on. The server has studies with trials and jobs, and most ids that are sent are of
these. The only token that is revoked is not the one that requests carry, and wrong ones, which are sent on
purpose, may be as many as they are: else the rest of the run would stand before a closed door. Exits with 1
if any check failed, and prints what Schemathesis counted.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

# The benchmarks' way to fill a study; run as a program, this file's folder alone is on the path.
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from fuzzed_server import DOCUMENT, fuzzed_server

from benchmarks.filling import fill
from nas_service.access import Role, TokenCreate
from nas_service.api import admission
from nas_service.confirmations import ConfirmRequest
from nas_service.service import Service
from nas_service.settings import Settings
from nas_service.studies import Budget, Objective, StudySpec

ALL_PHASES = "examples,coverage,fuzzing,stateful"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SPEC = StudySpec(
    dataset="digits",
    objectives=(Objective(metric="accuracy"), Objective(metric="params")),
    budget=Budget(trials=100),
)
TRIALS, CONFIRMED = 5, 3


def fuzz(home: Path, *, examples: int, seed: int, phases: str = ALL_PHASES) -> tuple[int, str]:
    """Return the exit code of Schemathesis, run on a server of its own, and what it printed."""
    with _guesses_unlimited(), fuzzed_server(home) as target:
        # Enough that some are left when all requests to delete one have been sent.
        configuration = _furnish(target.settings, studies=4 + 3 * examples)
        command = [
            *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(configuration)),
            *("run", target.address + DOCUMENT, "--phases", phases, "--checks", "all"),
            *("--header", f"Authorization: {target.headers['Authorization']}"),
            *("--max-examples", str(examples), "--seed", str(seed), "--max-response-time", "60"),
            *("--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
        ]
        done = subprocess.run(command, cwd=home, check=False, capture_output=True, text=True)
        door = httpx.get(f"{target.address}/api/v1/studies", headers=target.headers, trust_env=False)
        if door.status_code != 200:
            raise RuntimeError(f"the door closed on the way: {door.text}\n{done.stdout}")
    return done.returncode, done.stdout + done.stderr


@contextmanager
def _guesses_unlimited() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TOKENS_PER_ADDRESS", "TOKENS_OVERALL"):
            patch.setattr(admission, name, 10**9)
        yield


def _furnish(settings: Settings, studies: int) -> Path:
    """Put studies into the data folder, and return a configuration that knows their ids."""
    service = Service.open(settings)
    found = [service.create_study(SPEC).study for _ in range(studies)]
    for study in found:
        fill(service.engine, study, TRIALS, seed=study)
    for study in found[:CONFIRMED]:
        service.confirm(study, ConfirmRequest(top=1, seeds=2))
    spare = service.create_token(TokenCreate(name="spare", role=Role.viewer))
    known = {
        "study_id": found,
        "trial_id": list(range(1, TRIALS * studies + 1)),
        "job_id": list(range(1, 2 * CONFIRMED + 1)),
        "number": list(range(TRIALS)),
    }
    lines = [f"[dictionaries.{name}]\nvalues = {ids}" for name, ids in known.items()]
    # A few fields of an answer are not what the document says of all.
    lines += ["[parameters]", '"query.fields" = "*"', f'"path.token_id" = {spare.id}']
    lines += [f'"path.{name}" = {{ dictionary = "{name}", probability = 0.8 }}' for name in known]
    path = settings.data_home / CONFIGURATION.name
    path.write_text("\n".join([CONFIGURATION.read_text(), *lines]))
    return path


def main() -> int:
    """Fuzz with the examples and seed of the command line."""
    examples, seed = (int(text) for text in [*sys.argv[1:3], *("100", "1")[len(sys.argv) - 1 :]])
    with TemporaryDirectory() as folder:
        status, said = fuzz(Path(folder) / "home", examples=examples, seed=seed)
    sys.stdout.write(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
