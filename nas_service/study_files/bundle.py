"""The replay bundle: a zip that tells a search whole, readable without this program."""

import json
import zipfile
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from nas_service import __version__
from nas_service.service import Service
from nas_service.study_files.rows import as_json_lines
from nas_service.yaml_text import yaml_text
from search_spaces.errors import printable

# Kept in memory up to this size; a larger one goes to a file.
SPOOLED_BYTES = 32 * 1024 * 1024
PART_BYTES = 1024 * 1024
# The same study gives the same bytes, whenever it is asked for.
EPOCH = (1980, 1, 1, 0, 0, 0)

README = """# Replay bundle of study {study}: {name}

| file | what it holds |
| --- | --- |
| `spec.yaml` | what was asked; `nas search spec.yaml` asks the same again |
| `study.json` | how the study stood when this was made, with the spec as JSON |
| `spaces.json` | every version of the search space, spelled out |
| `front.json` | the Pareto front with its networks |
| `proposals.jsonl` | every proposal in its order (`ordinal`): what it became, parameters, network |
| `trials.jsonl` | every trial with everything known of it: network, figures, timings, versions |
| `curves.jsonl` | every epoch of every learning curve |
| `versions.json` | packages by name, with each version that a worker used |

A `.jsonl` file is one JSON object a line. Figures are in the units that their names carry; `accuracy` and the
like are of the validation part. `arrival` numbers the epochs at rungs of early stopping in the order in which
they were decided on: each was compared with those of the same rung and arm that have a lower number (0 is
from before they were numbered).

## To replay

1. The same search again: install the versions of `versions.json`, register the same data set (its sha256 is
   `dataset_sha256` in `study.json`), and run `nas search spec.yaml --workers 1`. Proposals depend on the seed
   and on the results before them: with one worker and equal results they come in the order of
   `proposals.jsonl`, with several only nearly so.
2. The same networks without the search: each line of `trials.jsonl` has `architecture` (what to build) and
   `seed` (of its weights and batches); `nas trial enqueue STUDY FILE` trains one within a study.
3. Without this program: `architecture` is a plain description of stages, branches and operations, and every
   result stands beside it.
"""


def bundle(service: Service, study_id: int) -> Iterator[bytes]:
    """Yield the zip part by part; it is written whole before the first part leaves."""
    with SpooledTemporaryFile(SPOOLED_BYTES) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            _fill(archive, service, study_id)
        file.seek(0)
        while part := file.read(PART_BYTES):
            yield part


def _fill(archive: zipfile.ZipFile, service: Service, study_id: int) -> None:
    study = service.study(study_id)
    _write(archive, "README.md", README.format(study=study_id, name=printable(study.name)))
    _write(archive, "spec.yaml", yaml_text(study.spec.model_dump(mode="json")))
    _write(archive, "study.json", study.model_dump_json(indent=2))
    _write(
        archive, "spaces.json", _json([space.model_dump(mode="json") for space in service.spaces(study_id)])
    )
    _write(archive, "front.json", service.front(study_id).model_dump_json(indent=2))
    proposals = service.untried(study_id)
    versions: dict[str, set[str]] = {"nas_service": {__version__}}
    with _opened(archive, "trials.jsonl") as file:
        for batch in service.trial_batches(study_id):
            file.writelines(as_json_lines([batch]))
            for trial in batch:
                proposals.append(_proposal(trial))
                for name, version in trial.versions.items():
                    versions.setdefault(name, set()).add(version)
    with _opened(archive, "curves.jsonl") as file:
        for epochs in service.curve_batches(study_id):
            file.write(_lines(epochs))
    proposals.sort(key=lambda row: row["ordinal"])
    with _opened(archive, "proposals.jsonl") as file:
        file.write(_lines(proposals))
    _write(archive, "versions.json", _json({name: sorted(found) for name, found in sorted(versions.items())}))


def _proposal(trial: Any) -> dict[str, Any]:
    return {
        "became": "trial",
        "ordinal": trial.ordinal,
        "space_version": trial.space_version,
        "arm": trial.arm,
        "params": trial.params,
        "trial_id": trial.id,
        "number": trial.number,
        "architecture_hash": trial.architecture_hash,
    }


def _write(archive: zipfile.ZipFile, name: str, text: str) -> None:
    with _opened(archive, name) as file:
        file.write(text.encode())


def _opened(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(entry, "w", force_zip64=True)


def _json(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
