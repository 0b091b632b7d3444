"""S9: an archive that reaches outside itself, repeats a name or hides its size is refused, and named."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import hostile_files as files
import httpx
import pytest
from fuzzed_server import Target

Refusal = Callable[[bytes, str], str]
ZIPS = files.bad_zips()


@pytest.mark.parametrize("what", ZIPS)
def test_a_bad_archive_is_refused_naming_the_member(what: str, refusal: Refusal) -> None:
    content, word = ZIPS[what]
    assert word in refusal(content, "pictures.zip")


@pytest.mark.parametrize("what", ["parent", "absolute", "symlink", "twice", "encrypted"])
def test_the_rules_hold_for_npz_files_too(what: str, refusal: Refusal) -> None:
    content, word = ZIPS[what]
    assert word in refusal(content, "data.npz")


def test_a_member_that_unpacks_to_more_than_it_says_is_read_no_further(refusal: Refusal) -> None:
    content = files.understated_zip()
    tracemalloc.start()
    try:
        assert "9.png" in refusal(content, "pictures.zip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024**2


@pytest.mark.parametrize("length", range(0, 700, 23))
def test_a_truncated_archive_is_refused(length: int, refusal: Refusal) -> None:
    assert refusal(files.zipped(files.pictures())[:length], "pictures.zip")


def test_uploaded_archives_leave_nothing_on_disk(
    upload: Callable[..., httpx.Response], target: Target
) -> None:
    before = _tree(target.settings.data_home.parent)
    for what in ("parent", "absolute", "backslash", "symlink", "case", "ratio"):
        content, word = ZIPS[what]
        answer = upload(content, "pictures.zip")
        assert answer.status_code == 422
        assert word in answer.json()["detail"]
    assert _tree(target.settings.data_home.parent) == before
    assert not Path("/tmp/evil.png").exists()


def test_tar_files_are_no_format(upload: Callable[..., httpx.Response]) -> None:
    import io
    import tarfile

    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../evil.png"))
    for name in ("data.tar.gz", "data.tar", "data.zip", "data.npz"):
        assert upload(stream.getvalue(), name).status_code == 422


def _tree(folder: Path) -> set[str]:
    """Return all files below, but those that the database comes and goes with."""
    files = (path for path in folder.rglob("*") if not path.is_dir())
    return {str(path) for path in files if not path.name.startswith("nas.db")}
