"""Texts made to hang or fill a reader: refused at once, on the command line and over HTTP."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from nas_service.cli.main import run
from nas_service.plain_data import MAX_BYTES
from nas_service.server import serving
from nas_service.settings import Settings

ADDRESSES = ("/api/v1/architectures:describe", "/api/v1/studies?validate_only=true&samples=1")
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
BOMBS = {
    "10 MB": b"a: " + b"x" * 10_000_000,
    "10,000 nested lists": b"a: " + b"[" * 10_000 + b"]" * 10_000,
    "10,000 nested lists in JSON": b'{"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "10,000 nested block lists": b"a:\n" + b"- " * 10_000 + b"x",
    "aliases": LAUGHS.encode(),
    "a tag": b"a: !!python/object/apply:os.system [id]",
    "a number to the base 60": b"a: " + b"1:" * (MAX_BYTES // 2 - 2) + b"1",
    "a list without end": b"a: [" + b"1," * (MAX_BYTES // 2 - 3) + b"1]",
    "keys without end": b"".join(b"k%d: 1\n" % number for number in range(20_000)),
    "a huge number": b"classes: 0x" + b"f" * 200_000,
}
# Milliseconds on an idle machine; room for a busy one.
PATIENCE_S = 5.0


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = Settings(home=tmp_path_factory.mktemp("bombs"), database_url=None, port=0)
    with serving(settings) as address, httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        yield client


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_at_once(
    bomb: str, http: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_bytes(BOMBS[bomb])
    started = time.perf_counter()
    assert run(["describe", str(path)]) == 2
    for address in ADDRESSES:
        # Of a body that is announced as too long a server need not read more.
        body = BOMBS[bomb][:2_000_000]
        answer = http.post(address, content=body, headers={"Content-Type": "application/yaml"})
        assert answer.status_code in (413, 422)
        assert len(answer.text) < 10_000
    assert time.perf_counter() - started < PATIENCE_S
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 1000
