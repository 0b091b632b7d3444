"""S7: arrays that lie about their size, hold objects or unpack to far more are refused unread."""

import io
import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import hostile_files as files
import httpx
import numpy as np
import pytest

from nas_service.datasets.apart import read_apart
from nas_service.errors import InvalidInput
from nas_service.settings import Settings

Refusal = Callable[[bytes, str], str]
NPY, IDX = files.npy_mutants(), files.idx_mutants()
MIB = 1024**2


def dense_npz() -> bytes:
    """Return some 58 kB that unpack to 60 MB."""
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, x=np.zeros((60, 1000, 1000), np.uint8), y=files.LABELS)
    return stream.getvalue()


@pytest.mark.parametrize("what", NPY)
def test_an_array_whose_header_lies_is_refused(what: str, refusal: Refusal) -> None:
    assert refusal(files.npz(x=NPY[what]), "data.npz")


@pytest.mark.parametrize("what", NPY)
def test_labels_whose_header_lies_are_refused(what: str, refusal: Refusal) -> None:
    assert refusal(files.npz(x=files.npy_of(files.IMAGES), y=NPY[what]), "data.npz")


@pytest.mark.parametrize("what", IDX)
def test_idx_files_whose_parts_disagree_are_refused(what: str, refusal: Refusal) -> None:
    assert refusal(IDX[what], "data.zip")


def test_the_good_files_beside_them_are_read(tmp_path: Path) -> None:
    from nas_service.datasets import read_dataset

    for name, content in {
        "a.npz": files.npz(x=files.npy_of(files.IMAGES)),
        "b.zip": files.idx_zip(files.idx(files.IMAGES)),
        "c.zip": files.idx_zip(files.idx(files.IMAGES), ending=".gz"),
        "d.zip": files.zipped(files.pictures()),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert read_dataset(tmp_path / name).input_shape == (1, 8, 8)


def test_nothing_is_allocated_for_what_is_refused(refusal: Refusal) -> None:
    bombs = {"a.npz": dense_npz(), "b.npz": files.npz(x=NPY["7 TiB"]), "c.zip": IDX["gzip: bomb"]}
    tracemalloc.start()
    try:
        for name, content in bombs.items():
            assert refusal(content, name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * MIB


def test_values_beyond_float32_are_refused(refusal: Refusal) -> None:
    assert "float32" in refusal(files.npz(x=files.npy_of(files.IMAGES * 1e300)), "data.npz")


def test_labels_that_are_no_unicode_are_refused(refusal: Refusal) -> None:
    codes = np.full(12, 0x7FFFFFFF, dtype=np.uint32)
    message = refusal(files.npz(x=files.npy_of(files.IMAGES), y=files.npy_of(codes.view("<U1"))), "data.npz")
    assert "Unicode" in message


@pytest.mark.parametrize("label", ["\x00a\x00b", "a\nb", "\u202e", "x" * 101, "", "\ud800"])
def test_labels_that_cannot_be_shown_are_refused(label: str, refusal: Refusal) -> None:
    names = np.array([label, "cat", "dog"])[files.LABELS]
    assert "printable" in refusal(files.npz(x=files.npy_of(files.IMAGES), y=files.npy_of(names)), "data.npz")


def test_huge_float_labels_are_refused(refusal: Refusal) -> None:
    labels = files.npy_of(np.where(files.LABELS == 0, 1e300, files.LABELS))
    assert "whole numbers" in refusal(files.npz(x=files.npy_of(files.IMAGES), y=labels), "data.npz")


def test_uploaded_bombs_are_422_and_the_server_goes_on(
    upload: Callable[..., httpx.Response], http: httpx.Client
) -> None:
    for name, content in {
        "objects.npz": files.npz(x=NPY["objects"]),
        "dense.npz": dense_npz(),
        "claims.npz": files.npz(x=NPY["7 TiB"]),
        "gzip.zip": IDX["gzip: bomb"],
    }.items():
        answer = upload(content, name)
        assert answer.status_code == 422, answer.text
        assert len(answer.text) < 2000
    assert http.get("/readyz").status_code == 200


@pytest.fixture
def large_folder(tmp_path: Path) -> Path:
    """A folder of 400 pictures that take 6.7 GB together, and next to nothing on disk."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(files.png((4096, 4096)))
    for kind in "ab":
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for number in range(200):
            (tmp_path / "pictures" / kind / f"{number}.png").hardlink_to(picture)
    return tmp_path / "pictures"


def test_what_needs_more_memory_than_it_is_given_is_refused(settings: Settings, large_folder: Path) -> None:
    with (
        pytest.raises(InvalidInput, match="needs more memory"),
        read_apart(large_folder, None, scratch=settings.uploads_folder, memory_bytes=MIB),
    ):
        pass


def test_a_reader_that_dies_is_a_refusal_that_says_so(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(files.npz(x=files.npy_of(files.IMAGES)))
    # With this little nothing gets as far as a MemoryError of Python's.
    with (
        pytest.raises(InvalidInput, match="the process that read it died"),
        read_apart(path, None, scratch=settings.uploads_folder, memory_bytes=-500 * MIB),
    ):
        pass
    assert list(settings.uploads_folder.iterdir()) == []


def test_a_reader_that_takes_too_long_is_ended(settings: Settings, large_folder: Path) -> None:
    with (
        pytest.raises(InvalidInput, match=r"died|longer than"),
        read_apart(large_folder, None, scratch=settings.uploads_folder, memory_bytes=2**34, seconds=1),
    ):
        pass


def test_the_reader_is_told_no_secret_and_loads_next_to_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_TOKEN", "nw_secret")
    monkeypatch.setenv("NAS_DATABASE_URL", "postgresql://secret")
    from nas_service.datasets.apart import _environment

    told = " ".join(f"{key}={value}" for key, value in _environment().items())
    assert "secret" not in told
    assert "NAS_" not in told


@pytest.fixture
def server_process(settings: Settings) -> Iterator[tuple[httpx.Client, int]]:
    """A server in a process of its own, and its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "NAS_HOME": str(settings.data_home), "NAS_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "nas_service.server"], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=120) as client:
            wait_until_ready(client, process)
            token = (settings.data_home / "token").read_text().strip()
            client.headers["Authorization"] = f"Bearer {token}"
            yield client, process.pid
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    pause = threading.Event()
    while process.poll() is None:
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pause.wait(0.05)
    raise AssertionError("the server ended before it was ready")


def memory_mib(pid: int, name: str) -> float:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def test_the_servers_own_memory_hardly_grows(server_process: tuple[httpx.Client, int]) -> None:
    http, pid = server_process
    good = files.npz(x=files.npy_of(files.IMAGES))
    bombs = {
        "dense.npz": dense_npz(),
        "claims.npz": files.npz(x=NPY["7 TiB"]),
        "gzip.zip": IDX["gzip: bomb"],
        "picture.zip": files.zipped(files.pictures({"a/10k.png": files.bad_pictures()["10k.png"]})),
        "understated.zip": files.understated_zip(),
        "many.zip": files.many_members(600_000),
    }

    def upload(name: str, content: bytes) -> int:
        headers = {"Content-Type": "application/octet-stream"}
        return http.post(
            "/api/v1/datasets", params={"filename": name}, content=content, headers=headers
        ).status_code

    assert upload("good.npz", good) == 201
    # From here on the kernel remembers the highest value anew.
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = memory_mib(pid, "VmRSS")
    assert {upload(name, content) for name, content in bombs.items()} == {422}
    assert memory_mib(pid, "VmHWM") - before < 50
