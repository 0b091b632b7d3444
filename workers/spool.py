"""Results that could not be delivered yet, each in files, so that neither an outage nor a kill loses one.

All workers of a data folder that speak to one service share a spool: what one of them finished and could not
deliver, any later one does.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nas_service.crash_points import crash_point
from nas_service.trials import Lease, Outcome

log = logging.getLogger("nas.worker")
# Files without a result that are older than this were left by a process that died while it wrote them.
ABANDONED_S = 3600.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A trial's result with the contents of its files by kind; the outcome names their sha256."""

    lease: Lease
    outcome: Outcome
    files: Mapping[str, bytes]


class Spool:
    """Keeps results under a folder until they are delivered."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, finished: Finished) -> None:
        """Store a result durably: its files first, then what makes them one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(finished.lease)
        for kind, content in finished.files.items():
            _write(path.with_suffix(f".{kind}"), content)
        data = {"lease": finished.lease.model_dump(), "outcome": finished.outcome.model_dump(mode="json")}
        _write(path, json.dumps(data).encode())

    def remove(self, lease: Lease) -> None:
        """Forget a result that was delivered or is no longer wanted."""
        path = self._path(lease)
        crash_point("spool.before_remove")
        path.unlink(missing_ok=True)
        for kept in self._folder.glob(f"{path.stem}.*"):
            kept.unlink(missing_ok=True)

    def waiting(self, passed_over: Collection[Lease] = ()) -> Iterator[Finished]:
        """Yield what is left over but for some; a damaged result is put aside, not delivered."""
        names = {self._path(lease).name for lease in passed_over}
        for path in sorted(self._folder.glob("*.json")):
            if path.name in names:
                continue
            try:
                yield _read(path)
            except FileNotFoundError:
                # One of its files is gone, unless another worker has delivered it meanwhile.
                if path.exists():
                    _put_aside(path)
            except (ValueError, KeyError, TypeError):
                _put_aside(path)

    def sweep(self) -> None:
        """Remove what a process left that died while it wrote."""
        for path in self._folder.glob("trial-*"):
            is_whole = path.with_suffix(".json").exists() or path.suffix == ".damaged"
            if not is_whole and _age_s(path) > ABANDONED_S:
                path.unlink(missing_ok=True)

    def _path(self, lease: Lease) -> Path:
        return self._folder / f"trial-{lease.trial_id}-attempt-{lease.attempt}.json"


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: temporary file, fsync, rename."""
    temporary = path.with_suffix(f"{path.suffix}-part")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            crash_point("spool.written")
            stream.flush()
            os.fsync(stream.fileno())
        crash_point("spool.synced")
        temporary.replace(path)
        crash_point("spool.renamed")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Finished:
    data = json.loads(path.read_text(encoding="utf-8"))
    outcome = Outcome.model_validate(data["outcome"])
    files = {kind: path.with_suffix(f".{kind}").read_bytes() for kind in outcome.artifacts}
    for kind, content in files.items():
        if hashlib.sha256(content).hexdigest() != outcome.artifacts[kind]:
            raise ValueError(f"{kind} is damaged")
    return Finished(Lease.model_validate(data["lease"]), outcome, files)


def _put_aside(path: Path) -> None:
    log.warning("the result in %s is damaged: it is not delivered", path)
    with suppress(FileNotFoundError):
        path.replace(path.with_suffix(".damaged"))


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
