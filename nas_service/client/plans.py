"""What a client does in several requests; the first parameter is whose method it becomes."""

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from nas_service.access import AuditEntry, TokenView
from nas_service.client import calls
from nas_service.client.call import Call, ask
from nas_service.client.feeds import Pages
from nas_service.client.handle import OpensStudies, OpensTrials
from nas_service.dataset_paths import path_to_register
from nas_service.exchange import Plan, Work
from nas_service.plain_data import read_data
from nas_service.spec_file import merged_spec, read_file
from nas_service.studies import StudySpec, StudyState
from nas_service.uploads import as_one_file
from nas_service.views import (
    DatasetView,
    DeviceView,
    FamilyView,
    Page,
    Preflight,
    SpaceVersion,
    StudyView,
    WorkerView,
)

Study = TypeVar("Study")
Trial = TypeVar("Trial")
View = TypeVar("View")
# A spec as a person has it: validated, as a mapping, or in a YAML or JSON file.
Spec = StudySpec | Mapping[str, Any] | Path


def add_dataset(_owner: object, path: Path, name: str | None = None) -> Plan[DatasetView]:
    """Upload and register a data set; a folder is sent as a zip of it."""
    with ExitStack() as stack:
        file, filename = yield Work(lambda: stack.enter_context(as_one_file(path)))
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return (yield from ask(calls.upload(file, size, filename, name)))


def search(owner: OpensStudies[Study], /, spec: Spec | None = None, **fields: Any) -> Plan[Study]:
    """Launch a search and return its study; a data set that is given as a path is uploaded first.

    Args:
        owner: The client.
        spec: A `StudySpec`, a mapping, or the path of a YAML or JSON file.
        fields: Of the spec; they go over what `spec` says: `dataset="digits", budget={"trials": 20}`.

    Raises:
        InvalidInput: A field is wrong; the error names it and what is allowed.
    """
    wanted = yield from _sendable(owner, spec, fields)
    return owner.study_handle((yield from ask(calls.create_study(wanted))))


def preflight(
    owner: object, /, spec: Spec | None = None, *, samples: int = 400, **fields: Any
) -> Plan[Preflight]:
    """Tell what is known of a search before any training: share that is feasible, binding limit, time.

    Args:
        owner: The client.
        spec: As `search` takes it.
        samples: Architectures to draw.
        fields: As `search` takes them.
    """
    wanted = yield from _sendable(owner, spec, fields)
    return (yield from ask(calls.preflight(wanted, samples)))


def study(owner: OpensStudies[Study], id_or_name: int | str) -> Plan[Study]:
    """Return the study of an id, or the newest of a name; raises `NotFound`."""
    call = calls.study(id_or_name) if isinstance(id_or_name, int) else calls.find_study(id_or_name)
    return owner.study_handle((yield from ask(call)))


def studies(owner: OpensStudies[Study], *, state: StudyState | None = None) -> Pages[StudyView, Study]:
    """Yield all studies, the newest first, page by page as they are needed."""
    return Pages(
        lambda token: calls.studies(state=state, page_size=calls.ALL, page_token=token), owner.study_handle
    )


def trial(owner: OpensTrials[Trial], trial_id: int) -> Plan[Trial]:
    """Return the trial of an id, which counts through all studies; raises `NotFound`."""
    return owner.trial_handle((yield from ask(calls.trial(trial_id))))


def audit(_owner: object) -> Pages[AuditEntry, AuditEntry]:
    """Yield who did what, the newest first; for admins."""
    return Pages(lambda token: calls.audit(page_size=calls.ALL, page_token=token), itself)


def everything(page: Callable[[str | None], Call[Page[View]]]) -> Plan[list[View]]:
    """Return all items of a listing that is never long."""
    pages, found = Pages(page, itself), list[View]()
    while (items := (yield from pages.more())) is not None:
        found += items
    return found


def families(_owner: object) -> Plan[list[FamilyView]]:
    """List the families of architectures that ship."""
    return (yield from everything(calls.families))


def datasets(_owner: object) -> Plan[list[DatasetView]]:
    """List the registered data sets, the built-in digits among them."""
    return (yield from everything(calls.datasets))


def workers(_owner: object) -> Plan[list[WorkerView]]:
    """List workers, alive or not."""
    return (yield from everything(calls.workers))


def devices(_owner: object) -> Plan[list[DeviceView]]:
    """List where latency was, or is to be, measured."""
    return (yield from everything(calls.devices))


def tokens(_owner: object) -> Plan[list[TokenView]]:
    """List all tokens ever made, the newest first."""
    return (yield from everything(calls.tokens))


def spaces(_owner: object, study_id: int) -> Plan[list[SpaceVersion]]:
    """Return all versions of a study's space, the first one first."""
    return (yield from everything(lambda token: calls.spaces(study_id, token)))


def itself(view: View) -> View:
    """Return a view that needs no handle."""
    return view


def _sendable(owner: object, spec: Spec | None, fields: Mapping[str, Any]) -> Plan[StudySpec]:
    """Return a spec whose data set the server has."""
    wanted = merged_spec(_content(spec), fields)
    path = path_to_register(wanted.dataset, {dataset.name for dataset in (yield from datasets(owner))})
    if path is None:
        return wanted
    dataset = yield from add_dataset(owner, path)
    return wanted.model_copy(update={"dataset": dataset.name})


def _content(spec: Spec | None) -> Mapping[str, Any]:
    if isinstance(spec, StudySpec):
        return spec.model_dump(mode="json", exclude_unset=True)
    if isinstance(spec, Path):
        return read_data(read_file(spec))
    return spec or {}
