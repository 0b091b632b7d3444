"""Mutated inputs of every kind: `python tests/security/fuzz_uploads.py [--count N] [--seed S]`.

Every data set file is read in a process with limited memory, and each tenth is also uploaded; every text is
sent. Prints what became of them, and for each failure the command that repeats it; exits with 1 then.
"""

import argparse
import json
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

import httpx
from fuzzed_server import Target, fuzzed_server
from mutations import FILE_KINDS, KINDS, Input, good_spec, mutated

from nas_service.datasets import read_dataset
from nas_service.errors import InvalidInput
from nas_service.reading_process import limit_process

MIB = 1024**2
LIMIT_S = 2.0
# Beyond what the interpreter and its libraries take.
READER_BYTES = 200 * MIB
BATCH = 220
UPLOADED = 10
DIED = "the process that read it"
ADDRESSES = {
    "yaml": ("studies?validate_only=true&samples=1", "application/yaml"),
    "spec": ("studies?validate_only=true&samples=1", "application/json"),
    "space": ("studies?validate_only=true&samples=1", "application/json"),
    "architecture": ("architectures:describe", "application/json"),
}


@dataclass(slots=True)
class Tally:
    """What became of the inputs."""

    seed: int
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mib: float = 0.0

    def add(self, number: int, how: str, end: str, seconds: float, said: str = "") -> None:
        """Count one input; any end but accepted and refused is a failure, and so is a slow one."""
        self.ends[f"{KINDS[number % len(KINDS)]:<12} {how:<8} {end}"] += 1
        self.slowest_s = max(self.slowest_s, seconds)
        if end not in ("accepted", "refused"):
            self.failures.append(f"{how} {end}: {said}\n  repeat with: {self.replay(number)}")

    def replay(self, number: int) -> str:
        return f"python tests/security/fuzz_uploads.py --seed {self.seed} --only {number}"


def suffix_of(kind: str) -> str:
    return ".npz" if kind in ("npz", "npy") else ".zip"


def read_all(seed: int, numbers: range, folder: Path) -> Iterator[dict[str, object]]:
    """Read the files of `numbers` in this process, and tell of each how it ended."""
    for number in numbers:
        given = mutated(seed, number)
        if given.kind not in FILE_KINDS:
            continue
        path = folder / f"data{suffix_of(given.kind)}"
        path.write_bytes(given.content)
        started = time.perf_counter()
        end, said = "accepted", ""
        try:
            read_dataset(path)
        except InvalidInput as error:
            end, said = "refused", str(error)
        # Whatever else comes out is what is looked for.
        except BaseException:
            end, said = "failed", traceback.format_exc()
        seconds = time.perf_counter() - started
        if len(said.splitlines()) > 1 and end == "refused":
            end = "refused in several lines"
        yield {"number": number, "end": end, "seconds": seconds, "said": said, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Return the most memory that this process has held; getrusage would begin with that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def read_apart(tally: Tally, numbers: range) -> None:
    """Read a batch in a process of its own."""
    with TemporaryDirectory() as folder:
        command = [
            sys.executable,
            __file__,
            "--seed",
            str(tally.seed),
            "--read",
            f"{numbers.start}:{numbers.stop}",
            folder,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        tally.add(line["number"], "read", line["end"], line["seconds"], line["said"])
        tally.peak_mib = max(tally.peak_mib, line["peak_mib"])
    if done.returncode != 0:
        last = lines[-1]["number"] if lines else numbers.start
        tally.failures.append(f"the reader died behind number {last}: {done.stderr[-2000:]}")


def send(http: httpx.Client, given: Input) -> httpx.Response:
    """Send an input to where its kind belongs."""
    if given.kind in FILE_KINDS:
        query = {"filename": f"data{suffix_of(given.kind)}", "name": f"fuzzed-{given.number}"}
        headers = {"Content-Type": "application/octet-stream"}
        return http.post("datasets", params=query, content=given.content, headers=headers)
    if given.kind == "ledger":
        path, _, body = given.content.partition(b"\n")
        return http.post(path.decode(), content=body, headers={"Content-Type": "application/json"})
    path_of, media_type = ADDRESSES[given.kind]
    return http.post(path_of, content=given.content, headers={"Content-Type": media_type})


def end_of(answer: httpx.Response) -> str:
    """Return how a request ended: anything but a clean answer is told."""
    if answer.status_code >= 500:
        return f"answered {answer.status_code}"
    if DIED in answer.text or "Traceback" in answer.text:
        return "told of a crash"
    if answer.is_success:
        return "accepted"
    is_problem = answer.headers.get("content-type") == "application/problem+json"
    return "refused" if is_problem and len(answer.text) < 20_000 else "refused without a problem"


def send_all(tally: Tally, numbers: range, target: Target) -> None:
    """Send every text, and each tenth file."""
    with httpx.Client(
        base_url=f"{target.address}/api/v1/", headers=target.headers, trust_env=False, timeout=120
    ) as http:
        # Calls of workers are about a study and a worker that exist.
        http.post("studies", json=good_spec(random.Random(0)))
        http.post("workers:register", json={"name": "w", "host": "h", "pid": 1})
        for number in numbers:
            given = mutated(tally.seed, number)
            if given.kind in FILE_KINDS and (number // len(KINDS)) % UPLOADED:
                continue
            started = time.perf_counter()
            answer = send(http, given)
            tally.add(number, "sent", end_of(answer), time.perf_counter() - started, answer.text[:2000])
        if http.get("studies").status_code != 200:
            tally.failures.append("the server no longer lists studies")


def fuzz(seed: int, count: int, home: Path) -> Tally:
    """Return what became of the inputs from 0 to `count`."""
    tally = Tally(seed)
    for start in range(0, count, BATCH):
        read_apart(tally, range(start, min(start + BATCH, count)))
    with fuzzed_server(home) as target:
        send_all(tally, range(count), target)
    return tally


def main() -> int:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--read", nargs=2, metavar=("FROM:TO", "FOLDER"))
    chosen = parser.parse_args()
    if chosen.read:
        start, stop = map(int, chosen.read[0].split(":"))
        limit_process(READER_BYTES, 600, 100 * MIB)
        for line in read_all(chosen.seed, range(start, stop), Path(chosen.read[1])):
            print(json.dumps(line))  # noqa: T201  (the answer)
        return 0
    if chosen.only is not None:
        sys.stdout.write(f"{mutated(chosen.seed, chosen.only)}\n")
        with TemporaryDirectory() as folder:
            for line in read_all(chosen.seed, range(chosen.only, chosen.only + 1), Path(folder)):
                sys.stdout.write(f"{line}\n")
            with (
                fuzzed_server(Path(folder) / "home") as target,
                httpx.Client(
                    base_url=f"{target.address}/api/v1/", headers=target.headers, trust_env=False, timeout=120
                ) as http,
            ):
                answer = send(http, mutated(chosen.seed, chosen.only))
                sys.stdout.write(f"{answer.status_code} {answer.text}\n")
        return 0
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        tally = fuzz(chosen.seed, chosen.count, Path(folder) / "home")
    return report(tally, chosen.count, time.perf_counter() - started)


def report(tally: Tally, count: int, seconds: float) -> int:
    """Print what became of the inputs; 1 where one failed or took too long."""
    lines = [f"{end:<40} {number}" for end, number in sorted(tally.ends.items())]
    lines += tally.failures
    lines.append(
        f"{count} inputs of seed {tally.seed} in {seconds:.0f} s: {len(tally.failures)} failures, slowest "
        f"{tally.slowest_s:.2f} s (limit {LIMIT_S:.0f}), reader's peak {tally.peak_mib:.0f} MiB"
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return int(bool(tally.failures) or tally.slowest_s > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
