"""Results that could not be delivered yet, each a file, so that neither an outage nor a kill loses one."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from nas_service.crash_points import crash_point
from nas_service.trials import Lease, Outcome


class Spool:
    """Keeps one file per trial and attempt under a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, lease: Lease, outcome: Outcome) -> None:
        """Store a result durably: temporary file, fsync, rename."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(lease)
        temporary = path.with_suffix(".part")
        content = json.dumps({"lease": lease.model_dump(), "outcome": outcome.model_dump(mode="json")})
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(content)
            crash_point("spool.written")
            stream.flush()
            os.fsync(stream.fileno())
        crash_point("spool.synced")
        temporary.replace(path)
        crash_point("spool.renamed")

    def remove(self, lease: Lease) -> None:
        """Forget a result that was delivered or is no longer wanted."""
        crash_point("spool.before_remove")
        self._path(lease).unlink(missing_ok=True)

    def waiting(self) -> Iterator[tuple[Lease, Outcome]]:
        """Yield what is left over; a damaged file is put aside, not delivered."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
                lease = Lease.model_validate(data["lease"])
                outcome = Outcome.model_validate(data["outcome"])
            except (ValueError, KeyError, TypeError):
                path.replace(path.with_suffix(".damaged"))
                continue
            yield lease, outcome

    def _path(self, lease: Lease) -> Path:
        return self._folder / f"trial-{lease.trial_id}-attempt-{lease.attempt}.json"
