"""Let a client that openapi-python-client generates from docs/openapi.json complete a study.

`make generated-client` installs the generator in an environment of its own: nothing else needs it.

    python tests/recording/generated_client.py PYTHON_OF_THE_GENERATOR
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from nas_service.server import serving
from nas_service.settings import Settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
# What somebody writes who has the generated package alone.
PROGRAM = """
import sys, time
from nas_generated import AuthenticatedClient
from nas_generated.api.studies import create_study, read_front, read_study
from nas_generated.api.trials import list_trials
from nas_generated.models import Budget, Problem, StudySpec, Training

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
spec = StudySpec(
    name="generated",
    dataset="digits",
    space="two_conv",
    training=Training(epochs=2),
    budget=Budget(trials=3),
)
study = create_study.sync(client=client, body=spec)
deadline = time.monotonic() + 300
while study.state == "running" and time.monotonic() < deadline:
    time.sleep(0.5)
    study = read_study.sync(study.study, client=client)
front = read_front.sync(study.study, client=client)
trials = list_trials.sync(study.study, client=client, state="complete")
assert study.state == "finished" and front.front and trials.items, study
missing = read_study.sync(10**6, client=client)
assert isinstance(missing, Problem) and missing.type_ == "urn:nas:not-found", missing
print(f"{study.state}: {study.reason}; front of {len(front.front)}, best of {len(trials.items)} complete")
"""


def main() -> None:
    """Generate, launch, follow, read the front; a traceback where that does not work."""
    generator = sys.argv[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [
            generator,
            "-m",
            "openapi_python_client",
            "generate",
            "--meta",
            "none",
            "--path",
            str(DOCUMENT),
        ]
        subprocess.run(
            [*command, "--output-path", str(folder / "nas_generated")], check=True, stdout=subprocess.DEVNULL
        )
        with serving(Settings(home=folder / "home", database_url=None, port=0)) as address:
            token = (folder / "home" / "token").read_text().strip()
            environment = {**os.environ, "NAS_HOME": str(folder / "worker"), "NAS_TOKEN": token}
            environment |= {"NAS_TIMING_NOISE_LIMIT": "1000"}
            worker = subprocess.Popen([sys.executable, "-m", "workers", "--server", address], env=environment)
            try:
                subprocess.run([generator, "-c", PROGRAM, address, token], check=True, cwd=folder)
            finally:
                worker.terminate()
                worker.wait()


if __name__ == "__main__":
    main()
