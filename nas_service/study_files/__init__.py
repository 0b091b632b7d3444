"""Files that a whole study is taken away as: tables, a report, a replay bundle."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

from nas_service.service import Service
from nas_service.study_files.bundle import bundle
from nas_service.study_files.report import Report
from nas_service.study_files.rows import as_csv, as_json_lines

FileName = Literal["trials.csv", "trials.jsonl", "report.html", "bundle.zip"]
MEDIA_TYPES: Mapping[FileName, str] = {
    "trials.csv": "text/csv; charset=utf-8",
    "trials.jsonl": "application/jsonl",
    "report.html": "text/html; charset=utf-8",
    "bundle.zip": "application/zip",
}


def parts(service: Service, study_id: int, name: FileName) -> Iterator[bytes]:
    """Yield a file of a study part by part; raises `NotFound` before the first."""
    service.study(study_id)
    return _MAKERS[name](service, study_id)


def _report(service: Service, study_id: int) -> Iterator[bytes]:
    front = service.front(study_id)
    versions: dict[str, set[str]] = {}
    for member in front.front[:20]:
        for name, version in service.trial(member.trial).versions.items():
            versions.setdefault(name, set()).add(version)
    found = {name: sorted(known) for name, known in sorted(versions.items())}
    study, columns = service.study(study_id), service.columns(study_id)
    yield Report(study, front, columns, found, datetime.now(UTC)).html()


_MAKERS: Mapping[FileName, Callable[[Service, int], Iterator[bytes]]] = {
    "trials.csv": lambda service, study_id: as_csv(service.trial_batches(study_id)),
    "trials.jsonl": lambda service, study_id: as_json_lines(service.trial_batches(study_id)),
    "report.html": _report,
    "bundle.zip": bundle,
}
