"""What a worker may use, and what it keeps."""

import gc
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from workers import memory

ROOT = Path(__file__).resolve().parents[2]


def run_in_child(code: str) -> str:
    """Run Python code in a process of its own, whose limits die with it."""
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout.strip()


def test_what_is_available_is_no_more_than_the_machine_has() -> None:
    pages = resource.getpagesize()
    total = int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]) * 1024
    available = memory.available_bytes()
    assert available is not None
    assert pages < available <= total
    assert memory.data_bytes() > pages


def test_workers_share_what_is_available() -> None:
    code = (
        "from workers import memory\n"
        "free, used = memory.available_bytes(), memory.data_bytes()\n"
        "print(free, used, memory.limit_memory(4))"
    )
    free, used, bound = map(int, run_in_child(code).split())
    assert bound - used == pytest.approx(memory.USED_SHARE * free / 4, rel=0.05)


def test_an_allocation_beyond_the_bound_fails_instead_of_growing() -> None:
    code = (
        "import torch\n"
        "from workers.memory import limit_memory, usable_memory\n"
        "limit_memory(gigabytes=1.0)\n"
        "try:\n"
        "    torch.zeros(2**28)\n"
        "except RuntimeError as error:\n"
        "    print(usable_memory(), '|', 'allocate memory' in str(error))"
    )
    assert run_in_child(code) == "this process may use 1.0 GB | True"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is of glibc")
def test_freed_blocks_are_used_again_without_new_pages() -> None:
    code = (
        "import ctypes, resource\n"
        "from workers.memory import keep_freed_memory\n"
        "assert keep_freed_memory()\n"
        "def touch():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    block = bytearray(64 * 2**20)\n"
        "    del block\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "touch()\n"
        "print(touch())"
    )
    # 64 MiB are 16,384 pages of 4 KiB.
    assert int(run_in_child(code)) < 100


def test_nothing_is_collected_while_modules_are_imported() -> None:
    before = gc.get_freeze_count()
    with memory.nothing_collected():
        assert not gc.isenabled()
        made = [[] for _ in range(1_000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)
    gc.unfreeze()


def test_compiled_code_is_kept_where_nobody_else_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Set first, so that it is put back as it was.
    monkeypatch.setenv("TRITON_CACHE_DIR", "")
    monkeypatch.delenv("TRITON_CACHE_DIR")
    for cache in (tmp_path / "cache", tmp_path / "other"):
        memory.keep_compiled_code(cache)
        # A choice stands once it is made.
        assert os.environ["TRITON_CACHE_DIR"] == str(tmp_path / "cache" / "triton")
    assert (tmp_path / "cache" / "triton").stat().st_mode & 0o777 == 0o700
