"""Schemathesis over the whole OpenAPI document: `python tests/security/fuzz_api.py [EXAMPLES] [SEED]`.

EXAMPLES (100) is how many requests each operation gets in a phase that draws them, SEED (1) what they are
drawn from. All checks are on.
Exits with 1 if any check failed, and prints what Schemathesis counted.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from fuzzed_server import DOCUMENT, fuzzed_server

ALL_PHASES = "examples,coverage,fuzzing,stateful"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def fuzz(home: Path, *, examples: int, seed: int, phases: str = ALL_PHASES) -> tuple[int, str]:
    """Return the exit code of Schemathesis, run on a server of its own, and what it printed."""
    with fuzzed_server(home) as target:
        command = [
            *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(CONFIGURATION)),
            *("run", target.address + DOCUMENT, "--phases", phases, "--checks", "all"),
            *("--header", f"Authorization: {target.headers['Authorization']}"),
            *("--max-examples", str(examples), "--seed", str(seed), "--max-response-time", "60"),
            *("--continue-on-failure", "--suppress-health-check", "all", "--no-color"),
        ]
        done = subprocess.run(command, cwd=home, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Fuzz with the examples and seed of the command line."""
    examples, seed = (int(text) for text in [*sys.argv[1:3], *("100", "1")[len(sys.argv) - 1 :]])
    with TemporaryDirectory() as folder:
        status, said = fuzz(Path(folder) / "home", examples=examples, seed=seed)
    sys.stdout.write(said)
    return status


if __name__ == "__main__":
    sys.exit(main())
