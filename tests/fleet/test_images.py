"""The Dockerfile and what goes into its images, as far as can be told without building them."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from nas_service.diagnosis.packages import WORKERS_ONLY, numbers

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PINS = dict(
    line.split("==")
    for line in (ROOT / "requirements-server.txt").read_text().splitlines()
    if not line.startswith("#")
)
# Imports as an environment would that holds the server's list alone.
SERVER_ALONE = """
import sys
from importlib.metadata import packages_distributions

PINS = set(sys.argv[1:])
OWNERS = {name: {owner.lower().replace("_", "-") for owner in owners}
          for name, owners in packages_distributions().items()}


class OnlyPinned:
    @staticmethod
    def find_spec(name, path=None, target=None):
        owners = OWNERS.get(name.partition(".")[0], PINS)
        if not owners & (PINS | {"nas-service", "setuptools"}):
            raise ModuleNotFoundError(f"{name} is not in the server's list", name=name)


sys.meta_path.insert(0, OnlyPinned)
import nas_service.server, nas_service.cli.main
from nas_service.datasets import digits
digits()
try:
    import torch
except ModuleNotFoundError:
    print("well")
"""


def stages() -> dict[str, str]:
    """Return the text of each stage by its name."""
    parts = re.split(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)[1:]
    return {name: text for _, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)}


def test_the_base_is_pinned_to_a_python_without_known_holes() -> None:
    images = re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)
    outside = [image for image in images if image not in stages()]
    assert outside == [image for image in outside if re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", image)]
    assert all(numbers(image.partition(":")[2]) >= (3, 11, 13) for image in outside)


def test_every_copied_path_exists_and_is_not_ignored() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, flags=re.MULTILINE):
        *sources, _ = line.split()
        assert [source for source in sources if not (ROOT / source).exists()] == []
        assert [source for source in sources if source not in sent] == []


def test_both_images_run_as_nobody_in_particular() -> None:
    for name in ("server", "worker"):
        user = re.findall(r"^USER (\S+)$", stages()[name], flags=re.MULTILINE)
        assert user == ["10001:10001"]


def test_commands_and_health_checks_exist() -> None:
    assert 'CMD ["python", "-m", "nas_service.server"]' in stages()["server"]
    assert "/readyz" in stages()["server"]
    assert find_spec("nas_service.server") is not None
    assert 'CMD ["nas-worker"]' in stages()["worker"]
    assert 'nas-worker = "workers.cli:main"' in (ROOT / "pyproject.toml").read_text()


def test_the_server_s_list_is_the_project_s_without_what_workers_use() -> None:
    written = subprocess.check_output([sys.executable, ".ci/server_requirements.py"], cwd=ROOT, text=True)
    assert (ROOT / "requirements-server.txt").read_text() == written, "run: make requirements-server.txt"
    assert not WORKERS_ONLY & PINS.keys()
    assert not [name for name in PINS if name.startswith(("nvidia", "cuda", "triton"))]


def test_the_server_runs_on_its_list_alone() -> None:
    command = [sys.executable, "-c", SERVER_ALONE, *PINS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "well", done.stderr
