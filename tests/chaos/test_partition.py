"""A worker in a network of its own whose cable is pulled out: nothing is lost, nothing counts twice (F4)."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import Database
from drill import MODULES, Drill, drilling
from machines import eventually
from network import HERE, Cable, cable
from nursery import HERE as FOLDER
from nursery import Nursery

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


@pytest.fixture
def wire() -> Iterator[Cable]:
    with cable() as made:
        yield made


@pytest.fixture
def drill(tmp_path: Path, new_database: Path) -> Iterator[Drill]:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nas.db").write_bytes(new_database.read_bytes())
    with Nursery(*MODULES) as nursery, drilling(nursery, tmp_path / "home", Database(), lease_s=1.5) as drill:
        yield drill


def far_worker(drill: Drill, wire: Cable, study: int) -> "subprocess.Popen[bytes]":
    """Start a stub worker at the other end of the cable."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NAS_")}
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"NAS_HOME": str(drill.home), "NAS_TOKEN": drill.token, "PYTHONPATH": path}
    address = f"http://{HERE}:{drill.port}"
    command = [*wire.command, sys.executable, str(FOLDER / "stub_worker.py"), "--name", "far"]
    with (drill.home / "far.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--study", str(study), "--server", address, "--epoch-ms", "400"],
            env={**inherited, **own},
            stdout=log,
            stderr=log,
        )


def test_a_worker_whose_cable_is_pulled_loses_its_trial_and_finds_its_way_back(
    drill: Drill, wire: Cable
) -> None:
    # The address is not this machine's own alone: the server demands tokens of everybody now.
    drill.run("nas_service.server:main", NAS_HOST=HERE, NAS_ALLOWED_HOSTS=HERE, NAS_BEHIND_PROXY="1")
    eventually(lambda: (drill.home / "token").exists())
    study = drill.launch(trials=3)
    far = far_worker(drill, wire, study)
    try:
        eventually(lambda: drill.service.study(study).trials.running)
        (held,) = drill.service.trials(study, state="running").items
        wire.pull()
        # Only once it is gone: it would end everything alone.
        near = drill.worker("near", study)
        eventually(lambda: drill.service.trial(held.id).attempt == 2)
        wire.plug()
        assert near.wait() == 0
        assert far.wait(120) == 0
    finally:
        far.kill()
        far.wait()
    assert drill.service.trial(held.id).worker == "near"
    assert drill.is_finished(study)
    assert drill.violations(study) == []
