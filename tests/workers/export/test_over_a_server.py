"""An export over a server: a worker does it, and its files come into a folder whole or not at all."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from filler import Filler

from nas_service.cli.main import run
from nas_service.ledger.sql import SqlLedger
from nas_service.server import serving
from nas_service.settings import Settings
from nas_service.trials import WorkerInfo
from workers.worker import Worker


@pytest.fixture
def address(settings: Settings, filler: Filler, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield a server's address; commands are given it."""
    with serving(settings.model_copy(update={"port": 0})) as address:
        monkeypatch.setenv("NAS_SERVER", address)
        yield address


@pytest.fixture
def worker(address: str, ledger: SqlLedger, filler: Filler, tmp_path: Path) -> Iterator[Worker]:
    """Yield a worker that does the filled study's jobs, and nothing else: the study is over."""
    filler.add("multi_scale")
    filler.service.cancel(filler.study)
    information = WorkerInfo(name="exporter", host="here", pid=1)
    worker = Worker(ledger, information, tmp_path / "spool", study_id=filler.study)
    thread = threading.Thread(target=worker.run)
    thread.start()
    yield worker
    worker.end()
    thread.join()


def test_a_worker_exports_and_the_command_writes_the_folder(
    address: str,
    worker: Worker,
    filler: Filler,
    destination: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = ["trial", "export", str(filler.study), "0", "-o", str(destination)]
    assert run([*wanted, "--format", "onnx", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["files"] == ["export.json", "model.onnx", "preprocessing.json"]
    assert sorted(path.name for path in destination.iterdir()) == printed["files"]
    assert printed["forms"][0]["disagreements"] == 0
    assert list(destination.parent.iterdir()) == [destination]
    with httpx.Client(base_url=f"{address}/api/v1", trust_env=False) as http:
        (job,) = http.get("/jobs", params={"study": filler.study}).json()["items"]
        path = f"/jobs/{job['id']}"
        assert http.get(f"{path}/files/model.onnx").content == (destination / "model.onnx").read_bytes()
        archive = zipfile.ZipFile(io.BytesIO(http.get(f"{path}/archive").content))
        assert sorted(archive.namelist()) == [f"job-{job['id']}-export/{name}" for name in printed["files"]]
        assert http.get(f"{path}/files/model.pt").status_code == 404
        assert http.post(f"{path}:cancel").status_code == 409
    # A folder that holds something is refused before any worker is asked.
    assert run([*wanted, "--format", "onnx"]) == 4
    assert "is not empty" in capsys.readouterr().err
    assert run(["job", "fetch", str(job["id"]), "-o", str(destination), "--force"]) == 0
    assert run(["job", "list", "--state", "waiting", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_what_cannot_be_exported_is_refused_at_once_and_leaves_nothing(
    address: str, filler: Filler, destination: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["-o", str(destination), "--format", "torch"]
    unfinished, pruned, gone = (
        filler.add("two_conv", "running"),
        filler.add("inception", "pruned"),
        filler.add("xception"),
    )
    weights = filler.service.trial_by_number(filler.study, gone).artifacts["weights"]
    filler.service.artifact_path(weights).unlink()
    for number, code, words in (
        (unfinished, 4, "is running"),
        (pruned, 4, "is pruned: of a reason"),
        (gone, 3, "weights"),
    ):
        assert run(["trial", "export", str(filler.study), str(number), *wanted]) == code
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert words in line
    assert not destination.exists()
    with httpx.Client(base_url=f"{address}/api/v1", trust_env=False) as http:
        trial = filler.service.trial_by_number(filler.study, gone).id
        answer = http.post(f"/trials/{trial}:export", json={"formats": ["tflite"], "epochs": 1})
        assert answer.status_code == 422
        assert {error["pointer"] for error in answer.json()["errors"]} == {"/formats/0", "/epochs"}
        assert http.get("/jobs").json()["items"] == []
