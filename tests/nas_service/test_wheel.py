"""What is installed without the checkout beside it."""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPENED = """
import sys
from pathlib import Path
import nas_service
from nas_service.service import Service
from nas_service.settings import Settings
service = Service.open(Settings(home=Path("home"), database_url=None))
print(nas_service.__file__, service.dataset("digits").classes)
service.close()
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder with the contents of a wheel that was built from a copy of the checkout."""
    source = tmp_path / "source"
    for name in ("alembic", "nas_service", "search_spaces", "workers"):
        copytree(ROOT / name, source / name, ignore=ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    return tmp_path / "installed"


def test_a_wheel_brings_a_database_up_to_date(installed: Path, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(installed), "PATH": ""}
    command = [sys.executable, "-P", "-c", OPENED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(installed / "nas_service" / "__init__.py"), "10"]
