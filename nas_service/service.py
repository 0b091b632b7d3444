"""The service in process: all that the API, the page and the command line ask of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, RowMapping

from nas_service import evaluation, feasibility, preflight, warm_start
from nas_service.access import AuditEntry, NewToken, TokenCreate, TokenView
from nas_service.arms import ArmsView, compared
from nas_service.columns import Columns
from nas_service.confirming import quality_of
from nas_service.constraints import beyond_range, enforced, is_kept, violations
from nas_service.datasets import canonical_content, digits, summarised
from nas_service.datasets.apart import read_apart
from nas_service.descriptions import ArchitectureView, describe
from nas_service.details import Details
from nas_service.errors import (
    Conflict,
    DamagedFile,
    FieldError,
    InvalidInput,
    NotFound,
    ServiceError,
    no_such,
    refused,
)
from nas_service.export_service import ExportService
from nas_service.file_stores import open_stores
from nas_service.ledger import rungs
from nas_service.measurements import StoredMeasurement
from nas_service.metrics import METRICS
from nas_service.paging import ORDERS, decode_token, encode_token
from nas_service.reasons import reason_of
from nas_service.settings import Settings
from nas_service.spec_file import field_errors, merged_spec
from nas_service.standings import Answer, Standings
from nas_service.store import (
    archive,
    arms,
    audit,
    catalogue,
    confirmations,
    devices,
    events,
    spaces,
    studies,
    tokens,
)
from nas_service.store.engine import close, make_engine
from nas_service.store.latencies import DeviceLatencies, read_latencies
from nas_service.store.left_out import count_left_out
from nas_service.store.migrate import upgrade
from nas_service.store.summaries import Summaries
from nas_service.store.throughput import Throughput, recent_throughput
from nas_service.studies import ACTIVE_STATES, Budget, Constraint, StudyChange, StudySpec
from nas_service.trial_filter import Condition, filter_text, matching, read_filter
from nas_service.trials import Trial, TrialState
from nas_service.views import (
    CurvePoint,
    DatasetUse,
    DatasetView,
    DeviceView,
    EvaluationView,
    EventView,
    FamilyView,
    FrontForm,
    FrontMember,
    FrontView,
    Page,
    Preflight,
    RungPlace,
    SpaceVersion,
    StudyResult,
    StudyView,
    TrialSpan,
    TrialSummary,
    TrialView,
    WorkerView,
)
from search_spaces import (
    Architecture,
    RandomTrial,
    SearchSpace,
    SearchSpaceError,
    analyse,
    families,
    resolve_space,
)

MAX_PAGE_SIZE = 500
# The data set that every installation has.
BUILT_IN = "digits"
# Studies whose figures are read ahead when a server starts.
WARM = 3
# Trials whose timings tell how fast this installation trains.
SPEED_SAMPLE = 50


class Service(ExportService):
    """Studies, trials, fronts, jobs, data sets, families and workers on one database and data folder.

    Methods raise `InvalidInput`, `NotFound`, `Conflict` or `Unavailable` from `nas_service.errors`.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.stores = open_stores(settings)
        self._has_digits = False
        self._standings = Standings()
        self._summaries = Summaries()

    @classmethod
    def open(cls, settings: Settings, *, migrate: bool = True) -> Self:
        """Connect, and bring the database up to date."""
        engine = make_engine(settings.resolved_database_url)
        if migrate:
            upgrade(engine)
        return cls(engine, settings)

    def close(self) -> None:
        """Let go of all connections."""
        close(self.engine)

    # Studies

    def create_study(self, spec: StudySpec) -> StudyView:
        """Launch a study; workers take it up at once."""
        dataset = self._dataset_of(spec)
        space = _space_of(spec)
        _try_space(space, dataset)
        _check_augmentation(spec, dataset)
        _check_bounds(spec.constraints)
        _check_feasible(spec, space, dataset)
        starts = warm_start.starts(spec, space, dataset, self._source)
        with self._writing() as connection:
            catalogue.hold_dataset(connection, dataset.name)
            study_id = studies.insert_study(connection, spec, dataset)
            studies.enqueue_starts(connection, study_id, starts)
        return self.study(study_id)

    def _source(self, study_id: int) -> warm_start.Source:
        """Return what a warm start takes of another study."""
        try:
            study = self._study_row(study_id)
        except NotFound as error:
            raise InvalidInput(FieldError("/search/warm_start", str(error))) from error
        members = self._front(study).front
        with self._reading() as connection:
            trials = [studies.read_trial(connection, member.trial) for member in members]
            versions = spaces.read_spaces(connection, study_id)
        return warm_start.Source(
            input_shape=tuple(study["input_shape"]),
            classes=study["classes"],
            front=[trial for trial in trials if trial is not None],
            spaces={version: resolve_space(space) for version, space in versions.items()},
        )

    def preflight(self, spec: StudySpec, samples: int = 400) -> Preflight:
        """Report what is known of a study before any training."""
        dataset = self._dataset_of(spec)
        space = _space_of(spec)
        _try_space(space, dataset)
        _check_augmentation(spec, dataset)
        _check_bounds(spec.constraints)
        alive = sum(worker.is_alive and not worker.measures_only for worker in self.workers())
        report = preflight.report(spec, space, dataset, samples, self._training_pace(), alive)
        if report.feasible_share > 0:
            return report
        found = feasibility.nearest(space, enforced(spec.constraints), dataset.input_shape, dataset.classes)
        refusal = None if found.is_feasible else feasibility.explained(found, spec.constraints)[1]
        return report.model_copy(update={"refusal": refusal})

    def studies(
        self,
        *,
        page_size: int = 50,
        page_token: str | None = None,
        state: str | None = None,
        name: str | None = None,
    ) -> Page[StudyView]:
        """List studies, the newest first; of a state, and with a text in their names, if asked for."""
        size = _page_size(page_size)
        below = decode_token(page_token, "studies") if page_token else None
        with self._reading() as connection:
            rows = studies.read_studies(connection, below=below, limit=size + 1, state=state, name=name)
            workers = self._workers(connection)
            going = confirmations.under_way(connection, [row["id"] for row in rows])
        views = [studies.view_of(row, reason_of(row, workers, going.get(row["id"]))) for row in rows[:size]]
        more = len(rows) > size
        return Page[StudyView](
            items=views, next_page_token=encode_token("studies", views[-1].study) if more else None
        )

    def study(self, study_id: int) -> StudyView:
        """Return one study."""
        with self._reading() as connection:
            row = studies.read_study(connection, study_id)
            going = confirmations.under_way(connection, [study_id])
            return studies.view_of(row, reason_of(row, self._workers(connection), going.get(study_id)))

    def find_study(self, id_or_name: str) -> StudyView:
        """Return the study of an id, or the newest of a name."""
        if id_or_name.isdigit() and len(id_or_name) < 10:
            return self.study(int(id_or_name))
        with self._reading() as connection:
            ids = studies.ids_of_name(connection, id_or_name)
        if not ids:
            raise no_such("study", id_or_name)
        return self.study(ids[0])

    def result(self, study_id: int) -> StudyResult:
        """Return a study with its front, and what its sampler left out."""
        study = self.study(study_id)
        left_out: dict[str, int] = {}
        # The others make a trial of everything.
        if study.spec.search.sampler == "auto":
            with self._reading() as connection:
                left_out = count_left_out(connection, study_id)
        return StudyResult(**dict(study), front=self.front(study_id).front, left_out=left_out)

    def pause(self, study_id: int) -> StudyView:
        """Propose nothing more until resumed."""
        return self._move(study_id, "pause")

    def resume(self, study_id: int) -> StudyView:
        """Go on with a paused study."""
        return self._move(study_id, "resume")

    def drain(self, study_id: int) -> StudyView:
        """Finish what runs, propose nothing."""
        return self._move(study_id, "drain")

    def cancel(self, study_id: int) -> StudyView:
        """End a study now."""
        return self._move(study_id, "cancel")

    def delete(self, study_id: int) -> None:
        """Delete an ended study and its trials."""
        with self._writing() as connection:
            studies.delete_study(connection, study_id)

    def change_space(
        self, study_id: int, space: str | dict[str, Any], *, sequence: int | None = None
    ) -> StudyView:
        """Widen or narrow a study's space; the same space again changes nothing.

        Args:
            study_id: Which study.
            space: A family's name, `{"family": name, "override": {...}}`, or an inline space.
            sequence: Raise `Stale` unless the study's sequence is still this one.
        """
        return self.change_study(study_id, StudyChange(space=space), sequence=sequence)

    def change_study(self, study_id: int, change: StudyChange, *, sequence: int | None = None) -> StudyView:
        """Give a study another name, budget, space or other limits.

        Earlier trials count where a new space could have drawn them, and are `excluded` where not. All are
        judged by new limits; what earlier limits rejected was never trained and stays rejected. The budget
        counts all that were trained. A study that had finished or failed runs again if its space, limits or
        budget change and its budget has room.

        Args:
            study_id: Which study.
            change: What is to be otherwise.
            sequence: Raise `Stale` unless the study's sequence is still this one.
        """
        spec = self.study(study_id).spec
        try:
            change.budget_of(spec.budget)
        except ValidationError as error:
            raise InvalidInput(*field_errors(error, Budget, below="/budget")) from error
        _check_latency(spec, change)
        _check_bounds(change.constraints or {})
        ahead = None
        if change.space is not None:
            spec = spec.model_copy(update={"space": change.space})
            space = _space_of(spec)
            _try_space(space, self._dataset_of(spec))
            with self._reading() as connection:
                ahead = spaces.judge(connection, studies.read_study(connection, study_id), space)
        with self._writing() as connection:
            studies.change_study(connection, study_id, change, ahead=ahead, sequence=sequence)
        return self.study(study_id)

    def clone(self, study_id: int, changes: Mapping[str, Any] | None = None) -> StudyView:
        """Launch a study with the spec of another one.

        Args:
            study_id: The other one.
            changes: Fields of the spec that are to be otherwise; groups of fields are merged. Without a name
                it is called a copy.
        """
        spec = self.study(study_id).spec
        named = {"name": f"{spec.name[:190]} (copy)", **(changes or {})}
        return self.create_study(merged_spec(spec.model_dump(mode="json"), named))

    def spaces(self, study_id: int) -> list[SpaceVersion]:
        """Return all versions of a study's space, the first one first."""
        self.study(study_id)
        with self._reading() as connection:
            return spaces.read_versions(connection, study_id)

    # Trials

    def trials(
        self,
        study_id: int,
        *,
        state: TrialState | None = None,
        conditions: str = "",
        order_by: str = "number",
        page_size: int = 50,
        page_token: str | None = None,
    ) -> Page[TrialSummary]:
        """List trials of a study; `order_by` is one of `nas_service.paging.ORDERS`.

        A page starts behind the last trial of the page before: new trials move none from page to page.
        `conditions` are what `nas_service.trial_filter` reads.
        """
        if order_by not in ORDERS:
            raise InvalidInput(FieldError("/order_by", f"{order_by[:60]!r} is unknown", ", ".join(ORDERS)))
        size = _page_size(page_size)
        asked = read_filter(conditions)
        scope = f"trials-{study_id}-{state}-{order_by}-{filter_text(asked)}"
        behind = decode_token(page_token, scope) if page_token else None
        study = self._study_row(study_id)
        on_front = self._front(study).trials
        is_plain = not asked and order_by in ("number", "newest")
        numbers = None if is_plain else self._numbers(study, state, asked, order_by, behind, size + 1)
        with self._reading() as connection:
            if numbers is not None:
                rows = studies.read_numbers(connection, study_id, numbers, state=state)
            else:
                rows = studies.read_page(
                    connection,
                    study_id,
                    state=state,
                    newest_first=order_by == "newest",
                    behind=behind,
                    limit=size + 1,
                )
            items = self._summaries.trials(connection, rows[:size], on_front)
        more = len(rows) > size
        return Page[TrialSummary](
            items=items, next_page_token=encode_token(scope, items[-1].number) if more else None
        )

    def _numbers(
        self,
        study: RowMapping,
        state: TrialState | None,
        asked: tuple[Condition, ...],
        order_by: str,
        behind: int | None,
        limit: int,
    ) -> list[int]:
        """Return which trials a page lists, from what is remembered of all of them."""
        columns = self._standings.of(study).columns(study, self._reading)
        among = matching(columns, asked)
        return columns.ordered(
            "number" if order_by == "newest" else order_by.removeprefix("-"),
            among=among & columns.are(state) if state else among,
            behind=behind,
            limit=limit,
            worst_first=order_by == "newest" or order_by.startswith("-"),
        )

    def count_trials(self, study_id: int, conditions: str) -> int:
        """Return how many trials of a study meet conditions."""
        return int(matching(self.columns(study_id), read_filter(conditions)).sum())

    def trials_of(self, study_id: int, numbers: Sequence[int]) -> list[TrialSummary]:
        """Return the trials of some numbers, in their order; a number that is none is left out."""
        on_front = self._front(self._study_row(study_id)).trials
        with self._reading() as connection:
            rows = studies.read_numbers(connection, study_id, numbers)
            return self._summaries.trials(connection, rows, on_front)

    def members_of(self, study_id: int, numbers: Sequence[int]) -> list[FrontMember]:
        """Return the trials of some numbers as fronts show them; a number that is none is left out."""
        with self._reading() as connection:
            rows = studies.read_numbers(connection, study_id, numbers)
            return self._summaries.members(connection, rows)

    def columns(self, study_id: int) -> Columns:
        """Return the figures of all trials of a study as arrays."""
        study = self._study_row(study_id)
        return self._standings.of(study).columns(study, self._reading)

    def analysed(self, study_id: int, analyse: Callable[[Columns, Details], Answer]) -> Answer:
        """Return what an analysis makes of all trials of a study.

        Args:
            study_id: Which study.
            analyse: Given the figures, and parameters, epochs and rungs, which grow and are not to be kept.
        """
        study = self._study_row(study_id)
        return self._standings.of(study).analysed(study, self._reading, analyse)

    def trial_batches(self, study_id: int) -> Iterator[list[Trial]]:
        """Yield all trials of a study in full, in the order of their numbers."""
        begin = 0
        while batch := self._batch(study_id, begin):
            yield batch
            begin = batch[-1].number + 1

    def curve_batches(self, study_id: int) -> Iterator[list[dict[str, Any]]]:
        """Yield all epochs of a study, each with its trial's id."""
        for batch in self.trial_batches(study_id):
            with self._reading() as connection:
                yield archive.read_curves(connection, [trial.id for trial in batch])

    def untried(self, study_id: int) -> list[dict[str, Any]]:
        """Return the proposals of a study that became no trial."""
        with self._reading() as connection:
            return archive.read_untried(connection, study_id)

    def _batch(self, study_id: int, begin: int) -> list[Trial]:
        with self._reading() as connection:
            return archive.read_batch(connection, study_id, begin)

    def trial(self, trial_id: int) -> TrialView:
        """Return one trial in full."""
        with self._reading() as connection:
            trial = studies.read_trial(connection, trial_id)
        return self._trial_view(trial, no_such("trial", trial_id))

    def trial_by_number(self, study_id: int, number: int) -> TrialView:
        """Return a study's trial by its number."""
        self.study(study_id)
        with self._reading() as connection:
            trial = studies.read_numbered(connection, study_id, number)
        return self._trial_view(trial, no_such("trial", number, f"study {study_id}"))

    def curve(self, trial_id: int) -> list[CurvePoint]:
        """Return a trial's learning curve."""
        self.trial(trial_id)
        with self._reading() as connection:
            return studies.read_curve(connection, trial_id)

    def evaluation(self, trial_id: int) -> EvaluationView:
        """Return how a trial's network answers on the validation part; `NotFound` says why there is none."""
        trial = self.trial(trial_id)
        sha256 = trial.artifacts.get(evaluation.KIND)
        if sha256 is None:
            raise NotFound(f"trial {trial_id} has no evaluation: {evaluation.why_none(trial)}")
        study = self.study(trial.study_id)
        dataset = self.dataset(study.spec.dataset)
        try:
            details = evaluation.read_details(self.artifact_path(sha256).read_bytes())
        except (ValueError, OSError) as error:
            raise DamagedFile(f"the evaluation of trial {trial_id} cannot be read: {error}") from error
        return EvaluationView(
            **dict(details), trial=trial_id, dataset=dataset.name, class_names=tuple(dataset.class_names)
        )

    def rung_places(self, trial_id: int) -> list[RungPlace]:
        """Return where a trial stands now at each rung of early stopping that it reached."""
        trial = self.trial(trial_id)
        spec = self.study(trial.study_id).spec
        with self._reading() as connection:
            return rungs.places(connection, trial.study_id, spec, trial_id)

    def latencies(self, trial_id: int) -> list[StoredMeasurement]:
        """Return what was measured of a trial's folded network, on all devices, by device and machine.

        Empty where no latency of the trial is known: its network has no name then.
        """
        network = (self.trial(trial_id).latency or {}).get("network_hash")
        if network is None:
            return []
        with self._reading() as connection:
            return devices.read_measurements(connection, network)

    def curves(self, trial_ids: Sequence[int]) -> dict[int, list[CurvePoint]]:
        """Return the learning curves of some trials; an id that is none is left out."""
        with self._reading() as connection:
            return studies.read_curves(connection, trial_ids)

    def enqueue(self, study_id: int, architecture: dict[str, Any]) -> TrialView:
        """Have a given architecture trained within a study."""
        study = self.study(study_id)
        dataset = self.dataset(study.spec.dataset)
        given = {"input_shape": list(dataset.input_shape), "classes": dataset.classes, **architecture}
        try:
            network = Architecture.from_dict(given)
        except SearchSpaceError as error:
            raise refused(error) from error
        if (network.input_shape, network.classes) != (dataset.input_shape, dataset.classes):
            shape = f"{list(dataset.input_shape)} and {dataset.classes} classes"
            raise InvalidInput(FieldError("/input_shape", f"the study's data have {shape}"))
        costs = {name: float(value) for name, value in analyse(network).metrics().items()}
        broken = violations(costs, enforced(study.spec.constraints))
        with self._writing() as connection:
            trial = studies.enqueue_trial(connection, study_id, network, costs, broken)
        return TrialView(**dict(trial))

    # Fronts

    def front(
        self, study_id: int, metrics: tuple[str, ...] | None = None, form: FrontForm = "searched"
    ) -> FrontView:
        """Return the Pareto front of feasible, complete trials over the objectives, or over given metrics.

        In the confirmed form its members are those that were confirmed, by their means on the test part.
        """
        unknown = [name for name in metrics or () if name not in METRICS]
        if unknown:
            raise InvalidInput(FieldError("/metrics", f"{unknown[0][:60]!r} is unknown", ", ".join(METRICS)))
        study = self._study_row(study_id)
        view = self._front(study, metrics or ())
        quality = quality_of(StudySpec.model_validate(study["spec"])).metric
        if form == "searched":
            return self._with_confirmed(view, quality)
        return self._confirmed_front(view, self._members_that_count, quality)

    def arms(self, study_id: int) -> ArmsView:
        """Return what the search and its control arm found for the epochs that each trained."""
        with self._reading() as connection:
            spec = StudySpec.model_validate(studies.read_study(connection, study_id)["spec"])
            return compared(study_id, spec, arms.read_ended(connection, study_id))

    def _members_that_count(self, trial_ids: list[int]) -> list[FrontMember]:
        with self._reading() as connection:
            rows = studies.read_listed(connection, trial_ids)
            worthy = [row for row in rows if row["excluded"] is None and is_kept(row["violations"])]
            return self._summaries.members(connection, worthy)

    def _front(self, study: RowMapping, metrics: tuple[str, ...] = ()) -> FrontView:
        def read_members(connection: Connection, numbers: list[int]) -> list[FrontMember]:
            rows = studies.read_numbers(connection, study["id"], numbers)
            if len(rows) < len(numbers):
                raise NotFound(f"study {study['id']} was deleted meanwhile")
            return self._summaries.members(connection, rows)

        return self._standings.of(study).front(study, metrics, self._reading, read_members)

    def _study_row(self, study_id: int) -> RowMapping:
        with self._reading() as connection:
            return studies.read_study(connection, study_id)

    def warm_up(self) -> None:
        """Read the figures of the newest studies that go on, so that the first reader need not wait.

        A database that is away is none of its business: whoever reads will be told.
        """
        with suppress(ServiceError):
            for study in [study for study in self.studies().items if study.state in ACTIVE_STATES][:WARM]:
                self.front(study.study)

    # Catalogue

    def families(self) -> list[FamilyView]:
        """List the families of architectures that ship."""
        return [self.family(name) for name in families.names()]

    def family(self, name: str) -> FamilyView:
        """Return one family and its space."""
        if name not in families.names():
            raise NotFound(f"there is no family {name[:60]!r}; there are {', '.join(families.names())}")
        family = families.get(name)
        return FamilyView(
            name=family.name,
            summary=family.summary,
            source=family.source,
            combinations=family.space.size(),
            space=family.space.to_dict(),
        )

    def describe(self, architecture: dict[str, Any]) -> ArchitectureView:
        """Return an architecture's canonical form, exact cost and pictures."""
        return describe(architecture)

    def datasets(self) -> list[DatasetView]:
        """List the registered data sets, the built-in digits among them."""
        self._register_digits()
        with self._reading() as connection:
            return catalogue.read_datasets(connection)

    def dataset(self, name: str) -> DatasetView:
        """Return one data set."""
        if name == BUILT_IN:
            self._register_digits()
        with self._reading() as connection:
            found = catalogue.read_dataset(connection, name)
        if found is None:
            raise no_such("data set", name)
        return found

    def add_dataset(self, path: Path, name: str | None) -> DatasetView:
        """Read, check and register a data set; the same data under the same name again are harmless.

        A process of its own reads it, with limits on memory and time.
        """
        if not path.exists():
            raise InvalidInput(FieldError("", f"there is no file or folder {path}"))
        memory, scratch = self.settings.reader_memory, self.settings.uploads_folder
        with read_apart(path, name, scratch=scratch, memory_bytes=memory) as dataset:
            sha256 = self.stores.datasets.put_file(dataset.path)
            with self._writing() as connection:
                registered = catalogue.insert_dataset(connection, dataset.summary, sha256)
            # Equal data of another name may have been deleted while this one waited for its row.
            if not self.stores.datasets.holds(sha256):
                self.stores.datasets.put_file(dataset.path)
            return registered

    def delete_dataset(self, name: str) -> None:
        """Delete a data set that no study uses; the built-in digits stay."""
        if name == BUILT_IN:
            raise Conflict(f"{BUILT_IN!r} is built in and cannot be deleted")
        with self._writing() as connection:
            unused = catalogue.delete_dataset(connection, name)
            if unused is not None:
                self.stores.datasets.delete(unused)

    def dataset_uses(self, name: str, limit: int = 50) -> list[DatasetUse]:
        """Return the studies that search a data set, the newest first."""
        with self._reading() as connection:
            return catalogue.studies_on(connection, name, limit)

    def dataset_file(self, sha256: str) -> Path:
        """Return a local, verified copy of a data set's canonical file."""
        return self.stores.datasets.path(sha256)

    def workers(self) -> list[WorkerView]:
        """List workers, alive or not."""
        with self._reading() as connection:
            return self._workers(connection)

    def devices(self) -> list[DeviceView]:
        """List where latency was, or is to be, measured."""
        with self._reading() as connection:
            return devices.read_devices(connection, self._workers(connection))

    def throughput(self) -> Mapping[int, Throughput]:
        """Return what each worker got done lately, by its id."""
        with self._reading() as connection:
            return recent_throughput(connection)

    def device_latencies(self, device: str) -> DeviceLatencies:
        """Return what the newest measurements of a device say, and how predictions for it have held."""
        with self._reading() as connection:
            return read_latencies(connection, device)

    # Access

    def tokens(self) -> list[TokenView]:
        """List all tokens ever made, the newest first."""
        with self._reading() as connection:
            return tokens.read_tokens(connection)

    def create_token(self, wanted: TokenCreate) -> NewToken:
        """Make a token; what is returned is the only place that ever shows it."""
        with self._writing() as connection:
            return tokens.insert_token(connection, wanted)

    def revoke_token(self, token_id: int) -> TokenView:
        """Make a token good for nothing; servers refuse it within two seconds."""
        with self._writing() as connection:
            return tokens.revoke(connection, token_id)

    def audit(self, *, page_size: int = 50, page_token: str | None = None) -> Page[AuditEntry]:
        """List who did what, the newest first."""
        size = _page_size(page_size)
        below = decode_token(page_token, "audit") if page_token else None
        with self._reading() as connection:
            rows = audit.read(connection, below=below, limit=size + 1)
        more = len(rows) > size
        return Page[AuditEntry](
            items=rows[:size], next_page_token=encode_token("audit", rows[size - 1].id) if more else None
        )

    def events(self, after: int = 0, study_id: int | None = None, limit: int = 500) -> list[EventView]:
        """Return the events behind a sequence number."""
        with self._reading() as connection:
            return events.after(connection, after, study_id=study_id, limit=limit)

    def study_log(
        self, study_id: int, kinds: Sequence[str], *, page_size: int = 50, page_token: str | None = None
    ) -> Page[EventView]:
        """List a study's events of some kinds, the newest first."""
        size = _page_size(page_size)
        scope = f"log-{study_id}-{'-'.join(kinds)}"
        below = decode_token(page_token, scope) if page_token else None
        with self._reading() as connection:
            rows = events.before(connection, study_id, kinds=kinds, below=below, limit=size + 1)
        more = len(rows) > size
        return Page[EventView](
            items=rows[:size], next_page_token=encode_token(scope, rows[size - 1].sequence) if more else None
        )

    def spans(self, study_id: int, *, limit: int = 500) -> list[TrialSpan]:
        """Return which worker trained which trial when, of the trials begun last."""
        self._study_row(study_id)
        with self._reading() as connection:
            return studies.read_spans(connection, study_id, limit)

    def latest_event(self) -> int:
        """Return the newest event's sequence number, 0 before the first."""
        with self._reading() as connection:
            return events.last(connection)

    def artifact_path(self, sha256: str) -> Path:
        """Return a local, verified copy of a stored artifact."""
        try:
            return self.stores.artifacts.path(sha256)
        except NotFound as error:
            raise NotFound(f"there is no artifact {sha256[:64]!r}") from error

    def _move(self, study_id: int, request: str) -> StudyView:
        with self._writing() as connection:
            studies.move_study(connection, study_id, request)
        return self.study(study_id)

    def _trial_view(self, trial: Trial | None, missing: NotFound) -> TrialView:
        if trial is None:
            raise missing
        is_on_front = trial.id in self.front(trial.study_id).trials
        return TrialView(**dict(trial), is_on_front=is_on_front, predicted=trial.predicted_metrics)

    def _dataset_of(self, spec: StudySpec) -> DatasetView:
        try:
            return self.dataset(spec.dataset)
        except NotFound as error:
            known = ", ".join(dataset.name for dataset in self.datasets())
            message = f"unknown data set {spec.dataset[:80]!r}; add one with: nas data add PATH"
            raise InvalidInput(FieldError("/dataset", message, known)) from error

    def _register_digits(self) -> None:
        with self._reading() as connection:
            known = catalogue.read_dataset(connection, BUILT_IN)
        # Asked once: an object store is far away.
        self._has_digits = self._has_digits or bool(known and self.stores.datasets.holds(known.sha256))
        if known and self._has_digits:
            return
        dataset = digits()
        sha256 = self.stores.datasets.put(canonical_content(dataset))
        with self._writing() as connection:
            catalogue.insert_dataset(connection, summarised(dataset), sha256)

    def _training_pace(self) -> float | None:
        with self._reading() as connection:
            return preflight.training_pace(catalogue.trained_work(connection, SPEED_SAMPLE))

    def _workers(self, connection: Connection) -> list[WorkerView]:
        return catalogue.read_workers(connection, self.settings.lease_s)


def _space_of(spec: StudySpec) -> SearchSpace:
    try:
        return resolve_space(spec.space)
    except SearchSpaceError as error:
        raise refused(error, "/space") from error


def _try_space(space: SearchSpace, dataset: DatasetView) -> None:
    """Draw one architecture, so that a space that cannot fit the data is refused at launch."""
    try:
        space.sample(RandomTrial(0), dataset.input_shape, dataset.classes)
    except SearchSpaceError as error:
        raise refused(error, "/space") from error


def _check_feasible(spec: StudySpec, space: SearchSpace, dataset: DatasetView) -> None:
    """Refuse a study whose limits on size leave nothing of its space, and say what would do."""
    found = feasibility.nearest(space, enforced(spec.constraints), dataset.input_shape, dataset.classes)
    if not found.is_feasible:
        pointer, message = feasibility.explained(found, spec.constraints)
        raise InvalidInput(FieldError(pointer, message))


def _check_bounds(constraints: Mapping[str, Constraint | None]) -> None:
    """Refuse limits that no candidate can break, or none can keep, whatever the space."""
    if errors := beyond_range(constraints):
        raise InvalidInput(*errors)


def _check_augmentation(spec: StudySpec, dataset: DatasetView) -> None:
    """Refuse what the data set's examples cannot be augmented by, such as time masks of a signal."""
    axes = len(dataset.input_shape) - 1
    unfit = spec.training.recipe.augmentation.unfit_fields(axes)
    if unfit:
        raise InvalidInput(
            *(
                FieldError(
                    f"/training/recipe/augmentation/{name}",
                    f"does not fit examples of {axes} spatial {'axis' if axes == 1 else 'axes'}",
                    f"data sets of {' or '.join(str(count) for count in allowed)}",
                )
                for name, allowed in unfit.items()
            )
        )


def _check_latency(spec: StudySpec, change: StudyChange) -> None:
    """Refuse a limit on latency where a study has never measured any."""
    for name, limit in (change.constraints or {}).items():
        if limit is not None and METRICS[name].kind == "latency" and not spec.needs_latency:
            message = "this study measures no latency; clone it with the limit instead"
            raise InvalidInput(FieldError(f"/constraints/{name}", message))


def _page_size(size: int) -> int:
    if not 1 <= size <= MAX_PAGE_SIZE:
        raise InvalidInput(FieldError("/page_size", f"{size} is out of range", f"1 to {MAX_PAGE_SIZE}"))
    return size
