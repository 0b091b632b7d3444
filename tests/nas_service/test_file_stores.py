"""Stores of files by sha256: one contract for a folder and for object stores, and how each is named."""

import fcntl
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest

from nas_service.content import PART, FileStore, FolderStore
from nas_service.errors import DamagedFile, InvalidInput, NotFound, Unavailable
from nas_service.file_stores import open_stores
from nas_service.ledger import files
from nas_service.ledger.protocol import LedgerRefused, LedgerUnavailable
from nas_service.ledger.sql import SqlLedger
from nas_service.node_cache import NodeCache
from nas_service.object_store import ObjectStore
from nas_service.service import Service
from nas_service.settings import Settings

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


class StoreContract:
    """Run by subclasses that provide `store`, and `damage`, which changes a stored file's bytes."""

    def test_what_was_put_is_read_back_by_its_hash(self, store: FileStore) -> None:
        assert store.put(CONTENT) == store.put(CONTENT) == SHA256
        assert store.path(SHA256).read_bytes() == CONTENT
        assert store.digest(SHA256) == SHA256
        assert store.holds(SHA256)
        assert list(store.names()) == [SHA256]
        assert store.modified_at(SHA256) > 1.7e9

    def test_a_file_is_stored_as_its_bytes_would_be(self, store: FileStore, tmp_path: Path) -> None:
        path = tmp_path / "weights"
        path.write_bytes(CONTENT)
        assert store.put_file(path) == store.put_file(path) == SHA256
        assert path.exists()
        assert store.path(SHA256).read_bytes() == CONTENT

    def test_what_is_not_there_is_not_found(self, store: FileStore) -> None:
        assert not store.holds(OTHER)
        assert list(store.names()) == []
        for call in (store.path, store.digest, store.modified_at):
            with pytest.raises(NotFound):
                call(OTHER)
        store.delete(OTHER)

    def test_a_name_that_is_no_hash_is_never_looked_for(self, store: FileStore) -> None:
        for name in ("", "../token", "0" * 63, "G" * 64, f"{OTHER}/x", f"../{OTHER}"):
            for call in (store.path, store.digest, store.delete, store.holds):
                with pytest.raises(NotFound):
                    call(name)

    def test_a_damaged_file_is_refused_and_healed_by_the_next_put(
        self, store: FileStore, damage: Callable[[bytes], None]
    ) -> None:
        store.put(CONTENT)
        damage(b"others")
        assert store.digest(SHA256) == hashlib.sha256(b"others").hexdigest()
        with pytest.raises(DamagedFile, match="sha256"):
            store.path(SHA256)
        store.put(CONTENT)
        assert store.path(SHA256).read_bytes() == CONTENT

    def test_a_deleted_file_is_gone(self, store: FileStore) -> None:
        store.put(CONTENT)
        store.delete(SHA256)
        assert not store.holds(SHA256)
        assert list(store.names()) == []


class TestFolder(StoreContract):
    """The default."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> FolderStore:
        return FolderStore(tmp_path / "artifacts", ".bin")

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[bytes], None]:
        return lambda content: _write(tmp_path / "artifacts" / f"{SHA256}.bin", content)

    def test_what_a_killed_writer_left_is_swept_when_it_is_old(
        self, store: FolderStore, tmp_path: Path
    ) -> None:
        store.put(CONTENT)
        fresh, old = (tmp_path / "artifacts" / f"{PART}{name}" for name in ("fresh", "old"))
        for path in (fresh, old):
            path.write_bytes(b"half")
        os.utime(old, (0, 0))
        assert store.sweep(3600.0) == 1
        assert fresh.exists()
        assert not old.exists()
        assert list(store.names()) == [SHA256]

    def test_a_folder_that_cannot_be_is_told(self, tmp_path: Path) -> None:
        _write(tmp_path / "file", b"")
        with pytest.raises(Unavailable, match="cannot be used"):
            FolderStore(tmp_path / "file").put(CONTENT)


class TestMemory(StoreContract):
    """An object store within the process."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        root = f"bucket/{tmp_path.name}"
        fsspec.filesystem("memory").makedirs(root, exist_ok=True)
        return ObjectStore("memory", root, NodeCache(tmp_path / "cache", 10**6))

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Callable[[bytes], None]:
        memory = fsspec.filesystem("memory")
        return lambda content: memory.pipe_file(f"bucket/{tmp_path.name}/{SHA256}", content)

    def test_a_copy_on_the_node_answers_without_the_store(self, store: ObjectStore, tmp_path: Path) -> None:
        store.put(CONTENT)
        first = store.path(SHA256)
        store.delete(SHA256)
        assert store.path(SHA256) == first
        first.write_bytes(b"damaged")
        with pytest.raises(NotFound):
            store.path(SHA256)


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the URL of a bucket of S3, as an administrator would set it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"nas-{abs(hash(tmp_path)):x}"
    fsspec.filesystem("s3").mkdir(bucket)
    yield f"s3://{bucket}/team"
    fsspec.get_filesystem_class("s3").clear_instance_cache()


class TestS3(StoreContract):
    """S3, as moto plays it."""

    @pytest.fixture
    def store(self, s3: str, tmp_path: Path) -> FileStore:
        return open_stores(Settings(home=tmp_path / "home", artifacts_url=s3)).artifacts

    @pytest.fixture
    def damage(self, s3: str) -> Callable[[bytes], None]:
        return lambda content: fsspec.filesystem("s3").pipe_file(f"{s3}/artifacts/{SHA256}", content)

    def test_a_service_and_its_workers_keep_everything_there(
        self, s3: str, tmp_path: Path, new_database: Path
    ) -> None:
        database_url = f"sqlite:///{_write(tmp_path / 'nas.db', new_database.read_bytes())}"
        here, there = (
            Settings(home=tmp_path / name, artifacts_url=s3, database_url=database_url)
            for name in ("here", "there")
        )
        service = Service.open(here)
        dataset = service.dataset("digits").sha256
        ledger = SqlLedger(service.engine, settings=there)
        sha256 = ledger.put_artifact(CONTENT)
        assert service.artifact_path(sha256).read_bytes() == CONTENT
        path = ledger.fetch_dataset(dataset)
        assert path == there.data_home / "cache" / "datasets" / f"{dataset}.safetensors"
        assert not here.artifacts_folder.exists()
        assert not here.datasets_folder.exists()
        with pytest.raises(LedgerRefused):
            ledger.fetch_dataset(OTHER)
        service.close()

    def test_a_bucket_that_is_not_there_is_told_with_the_setting(self, s3: str, tmp_path: Path) -> None:
        url = s3.replace("nas-", "gone-")
        store = open_stores(Settings(home=tmp_path, artifacts_url=url)).artifacts
        with pytest.raises(Unavailable, match=r"s3://gone-.*NAS_ARTIFACTS_URL") as caught:
            store.put(CONTENT)
        assert "\n" not in str(caught.value)


def test_a_store_that_does_not_answer_is_away_and_may_be_asked_again(
    tmp_path: Path, new_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    database_url = f"sqlite:///{_write(tmp_path / 'nas.db', new_database.read_bytes())}"
    settings = Settings(home=tmp_path / "home", artifacts_url="s3://away/team", database_url=database_url)
    service = Service.open(settings)
    ledger = SqlLedger(service.engine, settings=settings)
    with pytest.raises(LedgerUnavailable, match="NAS_ARTIFACTS_URL"):
        ledger.put_artifact(CONTENT)
    with pytest.raises(Unavailable, match="NAS_ARTIFACTS_URL"):
        service.artifact_path(SHA256)
    service.close()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://host/folder", "'ftp'"),
        ("http://169.254.169.254/latest", "'http'"),
        ("s3://key:secret@bucket/prefix", "more than a bucket"),
        ("s3://bucket/prefix?key=secret", "more than a bucket"),
        ("s3:///prefix", "no bucket"),
        ("here/there", "no absolute folder"),
        ("file://host/folder", "'file'"),
        ("s3://[broken", "no URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_by_the_setting_s_name(
    url: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_stores(Settings(home=tmp_path, artifacts_url=url))
    (error,) = caught.value.errors
    assert error.pointer == "NAS_ARTIFACTS_URL"
    assert words in error.message
    assert "secret" not in str(caught.value)
    assert "s3://BUCKET/PREFIX" in str(error.allowed)


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_of_one_s_own_holds_both_kinds(form: str, tmp_path: Path) -> None:
    root = tmp_path / "my files"
    stores = open_stores(Settings(home=tmp_path / "home", artifacts_url=form.format(root).replace(" ", " ")))
    assert stores.artifacts.path(stores.artifacts.put(CONTENT)) == root / "artifacts" / SHA256
    stores.datasets.put(CONTENT)
    assert (root / "datasets" / f"{SHA256}.safetensors").read_bytes() == CONTENT


def test_without_its_driver_an_object_store_is_refused_with_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from nas_service.cli.main import run; sys.exit(run(['study', 'list']))"
    )
    environment = {**os.environ, "NAS_HOME": str(tmp_path), "NAS_ARTIFACTS_URL": "s3://bucket/prefix"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "NAS_ARTIFACTS_URL" in done.stderr
    assert "pip install s3fs" in done.stderr


def test_damage_is_told_apart_for_a_worker_by_what_helps(
    service: Service, ledger: SqlLedger, settings: Settings
) -> None:
    dataset = service.dataset("digits").sha256
    _write(settings.datasets_folder / f"{dataset}.safetensors", b"others")
    # It can be added again, and then the worker goes on.
    with pytest.raises(LedgerUnavailable, match=r"data set.*damaged"):
        ledger.fetch_dataset(dataset)
    artifact = ledger.put_artifact(CONTENT)
    _write(settings.artifacts_folder / artifact, b"others")
    # Nothing brings it back.
    with pytest.raises(LedgerRefused, match=r"artifact.*damaged"):
        files.artifact_path(service.stores.artifacts, artifact)
    with pytest.raises(DamagedFile, match="sha256"):
        service.artifact_path(artifact)


# The node's cache


def writes(*contents: bytes) -> tuple[Callable[[BinaryIO], None], list[int]]:
    """Return a fetch that gives one content after another, and the list of its calls."""
    calls: list[int] = []

    def fetch(stream: BinaryIO) -> None:
        stream.write(contents[min(len(calls), len(contents) - 1)])
        calls.append(1)

    return fetch, calls


def test_a_full_cache_drops_what_is_old_and_leaves_alone_what_is_being_fetched(tmp_path: Path) -> None:
    part, old = tmp_path / f"{PART}another", tmp_path / "old"
    for path in (part, old):
        path.write_bytes(b"x" * 1000)
    os.utime(old, (1.0, 1.0))
    # Written just now, and read by nobody since it was begun.
    os.utime(part, (1.0, time.time()))
    fetch, _ = writes(CONTENT)
    NodeCache(tmp_path, len(CONTENT)).path("weights", SHA256, fetch)
    assert part.exists()
    assert not old.exists()


def test_a_damaged_download_is_fetched_once_more(tmp_path: Path) -> None:
    fetch, calls = writes(b"longer than it should be", CONTENT)
    assert NodeCache(tmp_path, 10**6).path("weights", SHA256, fetch).read_bytes() == CONTENT
    assert len(calls) == 2


def test_one_damaged_twice_is_refused_and_not_kept(tmp_path: Path) -> None:
    fetch, calls = writes(b"others")
    with pytest.raises(DamagedFile):
        NodeCache(tmp_path, 10**6).path("weights", SHA256, fetch)
    assert len(calls) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_rotted_is_fetched_again(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 10**6)
    fetch, calls = writes(CONTENT)
    cache.path("weights", SHA256, fetch).write_bytes(b"rotten")
    assert cache.path("weights", SHA256, fetch).read_bytes() == CONTENT
    assert len(calls) == 2


def test_the_least_recently_used_goes_first_and_what_is_in_use_stays(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 25)
    contents = [bytes([number]) * 10 for number in range(4)]

    def keep(number: int) -> Path:
        sha256 = hashlib.sha256(contents[number]).hexdigest()
        return cache.path(str(number), sha256, writes(contents[number])[0])

    for number in range(3):
        keep(number)
    # All have just been used.
    assert len(list(tmp_path.iterdir())) == 3
    for number, used_at in ((0, 3000), (1, 1000), (2, 2000)):
        os.utime(tmp_path / str(number), (used_at, used_at))
    keep(3)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "3"}
    keep(0)
    os.utime(tmp_path / "3", (1000, 1000))
    keep(1)
    assert {path.name for path in tmp_path.iterdir()} == {"0", "1"}


FETCH = """
import sys
from pathlib import Path
from nas_service.node_cache import NodeCache

def fetch(stream):
    with open(sys.argv[2], "a") as log:
        log.write("fetched\\n")
    stream.write(b"weights")

print("ready", flush=True)
NodeCache(Path(sys.argv[1]), 10**6).path("data", sys.argv[3], fetch)
"""


def test_processes_that_start_at_once_fetch_once(tmp_path: Path) -> None:
    cache, log = tmp_path / "cache", tmp_path / "log"
    # Left by a process that was killed while it fetched; held until all have started.
    part = _write(cache / f"{PART}data", b"half of it")
    with part.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-c", FETCH, str(cache), str(log), SHA256]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
    assert [process.wait() for process in processes] == [0, 0, 0]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()
    assert log.read_text() == "fetched\n"
    assert [path.name for path in cache.iterdir()] == ["data"]
    assert (cache / "data").read_bytes() == CONTENT


def test_threads_that_ask_at_once_fetch_once(tmp_path: Path) -> None:
    cache = NodeCache(tmp_path, 10**6)
    fetch, calls = writes(CONTENT)
    threads = [threading.Thread(target=cache.path, args=("weights", SHA256, fetch)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
