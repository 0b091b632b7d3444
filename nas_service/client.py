"""The service over HTTP: methods, views and errors are those of `nas_service.service.Service`."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from nas_service.access import AuditEntry, NewToken, TokenCreate, TokenView
from nas_service.connection import SHA256, Connection, Damaged, NoRoom, Refused, Unreachable, is_loopback
from nas_service.descriptions import ArchitectureView
from nas_service.errors import NotFound, ServerUnreachable, ServiceError, Unavailable
from nas_service.event_stream import frames
from nas_service.problems import service_error
from nas_service.redaction import redacted
from nas_service.settings import Settings
from nas_service.studies import ACTIVE_STATES, StudySpec
from nas_service.trials import TrialState
from nas_service.uploads import as_one_file
from nas_service.views import (
    CurvePoint,
    DatasetView,
    DeviceView,
    EventView,
    FamilyView,
    FrontView,
    Page,
    Preflight,
    SpaceVersion,
    StudyResult,
    StudyView,
    TrialSummary,
    TrialView,
    WorkerView,
)

Answer = TypeVar("Answer")
DEFAULT_SERVER = "http://127.0.0.1:8000"
# Reading and checking a large data set takes its time.
UPLOAD_TIMEOUT = httpx.Timeout(900.0, connect=5.0)


class Client:
    """A server's studies, trials, fronts, data sets, families and workers.

    Methods raise the errors of `nas_service.errors`, `ServerUnreachable` where nothing answers. Close it when
    done, or use it as a context manager.

    Args:
        server: The server's address; NAS_SERVER, or else port 8000 of this machine.
        token: NAS_TOKEN, or else, for a server on this machine, what NAS_HOME/token holds.
    """

    def __init__(self, server: str | None = None, token: str | None = None) -> None:
        address = server or os.environ.get("NAS_SERVER") or DEFAULT_SERVER
        self._settings = Settings()
        with _translated(address):
            self._connection = Connection(address, token or _token_for(address, self._settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of all connections."""
        self._connection.close()

    # Studies

    def create_study(self, spec: StudySpec) -> StudyView:
        """Launch a study; sent again under one key where no answer came, it is launched once."""
        return self._send(
            StudyView,
            "POST",
            "/studies",
            may_repeat=True,
            json=spec.model_dump(mode="json"),
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )

    def preflight(self, spec: StudySpec, samples: int = 400) -> Preflight:
        """Report what is known of a study before any training."""
        return self._send(
            Preflight,
            "POST",
            "/studies",
            may_repeat=True,
            json=spec.model_dump(mode="json"),
            params={"validate_only": "true", "samples": samples},
        )

    def studies(
        self, *, page_size: int = 50, page_token: str | None = None, state: str | None = None
    ) -> Page[StudyView]:
        """List studies, the newest first."""
        query = _given(page_size=page_size, page_token=page_token, state=state)
        return self._get(Page[StudyView], "/studies", query)

    def study(self, study_id: int) -> StudyView:
        """Return one study."""
        return self._get(StudyView, f"/studies/{study_id}")

    def find_study(self, id_or_name: str) -> StudyView:
        """Return the study of an id, or the newest of a name."""
        return self._get(StudyView, "/studies:find", {"name": id_or_name})

    def result(self, study_id: int) -> StudyResult:
        """Return a study with its front."""
        return self._get(StudyResult, f"/studies/{study_id}/result")

    def pause(self, study_id: int) -> StudyView:
        """Propose nothing more until resumed."""
        return self._send(StudyView, "POST", f"/studies/{study_id}:pause")

    def resume(self, study_id: int) -> StudyView:
        """Go on with a paused study."""
        return self._send(StudyView, "POST", f"/studies/{study_id}:resume")

    def drain(self, study_id: int) -> StudyView:
        """Finish what runs, propose nothing."""
        return self._send(StudyView, "POST", f"/studies/{study_id}:drain")

    def cancel(self, study_id: int) -> StudyView:
        """End a study now."""
        return self._send(StudyView, "POST", f"/studies/{study_id}:cancel")

    def delete(self, study_id: int) -> None:
        """Delete an ended study and its trials."""
        self._answer("DELETE", f"/studies/{study_id}")

    def change_space(
        self, study_id: int, space: str | dict[str, Any], *, sequence: int | None = None
    ) -> StudyView:
        """Widen or narrow a study's space; `Stale` unless the study's sequence is still `sequence`."""
        headers = {} if sequence is None else {"If-Match": f'"{study_id}-{sequence}"'}
        return self._send(
            StudyView,
            "PATCH",
            f"/studies/{study_id}",
            # With a sequence the second of two equal requests would be refused.
            may_repeat=sequence is None,
            json={"space": space},
            headers=headers,
        )

    def spaces(self, study_id: int) -> list[SpaceVersion]:
        """Return all versions of a study's space, the first one first."""
        return self._get(list[SpaceVersion], f"/studies/{study_id}/spaces")

    # Trials

    def trials(
        self,
        study_id: int,
        *,
        state: TrialState | None = None,
        order_by: str = "number",
        page_size: int = 50,
        page_token: str | None = None,
    ) -> Page[TrialSummary]:
        """List trials of a study: by `number`, `newest`, or a metric with the best first."""
        query = _given(state=state, order_by=order_by, page_size=page_size, page_token=page_token)
        return self._get(Page[TrialSummary], f"/studies/{study_id}/trials", query)

    def trial(self, trial_id: int) -> TrialView:
        """Return one trial in full."""
        return self._get(TrialView, f"/trials/{trial_id}")

    def trial_by_number(self, study_id: int, number: int) -> TrialView:
        """Return a study's trial by its number."""
        return self._get(TrialView, f"/studies/{study_id}/trials/{number}")

    def curve(self, trial_id: int) -> list[CurvePoint]:
        """Return a trial's learning curve."""
        return self._get(list[CurvePoint], f"/trials/{trial_id}/curve")

    def enqueue(self, study_id: int, architecture: dict[str, Any]) -> TrialView:
        """Have a given architecture trained within a study."""
        return self._send(TrialView, "POST", f"/studies/{study_id}/trials", json=architecture)

    def front(self, study_id: int, metrics: tuple[str, ...] | None = None) -> FrontView:
        """Return the Pareto front of feasible, complete trials over the objectives, or over given metrics."""
        query = _given(metrics=",".join(metrics) if metrics else None)
        return self._get(FrontView, f"/studies/{study_id}/front", query)

    # Catalogue

    def families(self) -> list[FamilyView]:
        """List the families of architectures that ship."""
        return self._get(list[FamilyView], "/families")

    def family(self, name: str) -> FamilyView:
        """Return one family and its space."""
        return self._get(FamilyView, f"/families/{quote(name, safe='')}")

    def describe(self, architecture: dict[str, Any]) -> ArchitectureView:
        """Return an architecture's canonical form, exact cost and pictures."""
        return self._send(
            ArchitectureView, "POST", "/architectures:describe", may_repeat=True, json=architecture
        )

    def datasets(self) -> list[DatasetView]:
        """List the registered data sets, the built-in digits among them."""
        return self._get(list[DatasetView], "/datasets")

    def dataset(self, name: str) -> DatasetView:
        """Return one data set."""
        return self._get(DatasetView, f"/datasets/{quote(name, safe='')}")

    def add_dataset(self, path: Path, name: str | None) -> DatasetView:
        """Upload and register a data set; a folder is sent as a zip of it."""
        with as_one_file(path) as (file, filename):
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            return self._send(
                DatasetView,
                "POST",
                "/datasets",
                params=_given(filename=filename, name=name),
                headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
                content=file,
                timeout=UPLOAD_TIMEOUT,
            )

    def workers(self) -> list[WorkerView]:
        """List workers, alive or not."""
        return self._get(list[WorkerView], "/workers")

    def devices(self) -> list[DeviceView]:
        """List where latency was, or is to be, measured."""
        return self._get(list[DeviceView], "/devices")

    # Access

    def tokens(self) -> list[TokenView]:
        """List all tokens ever made, the newest first."""
        return self._get(list[TokenView], "/tokens")

    def create_token(self, wanted: TokenCreate) -> NewToken:
        """Make a token; what is returned is the only place that ever shows it."""
        return self._send(NewToken, "POST", "/tokens", json=wanted.model_dump(mode="json"))

    def revoke_token(self, token_id: int) -> TokenView:
        """Make a token good for nothing; servers refuse it within two seconds."""
        return self._send(TokenView, "POST", f"/tokens/{token_id}:revoke", may_repeat=True)

    def audit(self, *, page_size: int = 50, page_token: str | None = None) -> Page[AuditEntry]:
        """List who did what, the newest first."""
        query = _given(page_size=page_size, page_token=page_token)
        return self._get(Page[AuditEntry], "/audit", query)

    def events(self, after: int = 0, study_id: int | None = None, limit: int = 500) -> list[EventView]:
        """Return the events behind a sequence number."""
        query = _given(after=after, study=study_id, limit=limit)
        return self._get(list[EventView], "/events", query)

    def follow(self, study_id: int) -> Iterator[EventView]:
        """Yield a study's events as they come until it ends; a broken stream is taken up where it broke."""
        last = 0
        with _translated(self._connection.server):
            for frame in frames(self._connection, f"/studies/{study_id}/events/stream"):
                if frame.kind == "snapshot":
                    last = frame.sequence if frame.sequence is not None else last
                    if frame.data["study"]["state"] not in ACTIVE_STATES:
                        yield from self.events(last, study_id)
                        return
                    continue
                event = EventView.model_validate(frame.data)
                last = event.sequence
                yield event
                if event.kind == "study.state" and event.data.get("state") not in ACTIVE_STATES:
                    return

    def artifact_path(self, sha256: str) -> Path:
        """Return a local, verified copy of a stored artifact."""
        if not SHA256.fullmatch(sha256):
            raise NotFound(f"there is no artifact {sha256[:64]!r}")
        target = self._settings.data_home / "cache" / "artifacts" / sha256
        with _translated(self._connection.server):
            return self._connection.download(
                f"/artifacts/{sha256}", sha256, target, self._settings.cache_bytes
            )

    def _get(self, kind: type[Answer], path: str, query: dict[str, Any] | None = None) -> Answer:
        return self._send(kind, "GET", path, may_repeat=True, params=query)

    def _send(self, kind: type[Answer], method: str, path: str, **options: Any) -> Answer:
        answer = self._answer(method, path, **options)
        try:
            return TypeAdapter(kind).validate_json(answer.content)
        except ValidationError as error:
            raise ServiceError(f"{answer.request.url} gave an answer that is none of this service") from error

    def _answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        with _translated(self._connection.server):
            return self._connection.send(method, path, **options)


@contextmanager
def _translated(server: str) -> Iterator[None]:
    try:
        yield
    except Unreachable as error:
        raise ServerUnreachable(
            f"{redacted(server)} does not answer ({error}); start a server with: nas up"
        ) from error
    except (Damaged, NoRoom) as error:
        raise Unavailable(str(error)) from error
    except Refused as error:
        raise service_error(error.problem) from error


def _token_for(server: str, settings: Settings) -> str | None:
    """Return the token to send; that of this machine's data folder never leaves the machine."""
    if token := os.environ.get("NAS_TOKEN"):
        return token
    path = settings.data_home / "token"
    return path.read_text(encoding="utf-8").strip() if is_loopback(server) and path.is_file() else None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
