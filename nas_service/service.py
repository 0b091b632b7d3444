"""The service in process: all that the API, the page and the command line ask of it."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ValidationError
from sqlalchemy import Engine

from nas_service import feasibility, preflight, warm_start
from nas_service.access_service import AccessService
from nas_service.constraints import enforced
from nas_service.errors import FieldError, InvalidInput, NotFound
from nas_service.file_stores import open_stores
from nas_service.launch_checks import (
    check_augmentation,
    check_bounds,
    check_feasible,
    check_latency,
    space_of,
    try_space,
)
from nas_service.settings import Settings
from nas_service.spec_file import field_errors, merged_spec
from nas_service.standings import Standings
from nas_service.store import catalogue, enqueued, spaces, studies, study_changes, trials
from nas_service.store.engine import close, make_engine
from nas_service.store.migrate import upgrade
from nas_service.store.summaries import Summaries
from nas_service.studies import Budget, StudyChange, StudySpec
from nas_service.trial_service import TrialService
from nas_service.views import DatasetView, Preflight, StudyView
from search_spaces import resolve_space

# Trials whose timings tell how fast this installation trains.
SPEED_SAMPLE = 50


class Service(TrialService, AccessService):
    """Studies, trials, fronts, jobs, data sets, families and workers on one database and data folder.

    Methods raise `InvalidInput`, `NotFound`, `Conflict` or `Unavailable` from `nas_service.errors`. The parts
    that this builds on tell of them; here is what launches studies and changes them.
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

    def create_study(self, spec: StudySpec) -> StudyView:
        """Launch a study; workers take it up at once."""
        dataset = self._dataset_of(spec)
        space = space_of(spec)
        try_space(space, dataset)
        check_augmentation(spec, dataset)
        check_bounds(spec.constraints)
        check_feasible(spec, space, dataset)
        starts = warm_start.starts(spec, space, dataset, self._source)
        with self._writing() as connection:
            catalogue.hold_dataset(connection, dataset.name)
            study_id = studies.insert_study(connection, spec, dataset)
            enqueued.enqueue_starts(connection, study_id, starts)
        return self.study(study_id)

    def preflight(self, spec: StudySpec, samples: int = 400) -> Preflight:
        """Report what is known of a study before any training."""
        alive = sum(worker.is_alive and not worker.measures_only for worker in self.workers())
        return self.preflight_with(spec, alive, samples=samples)

    def preflight_with(
        self, spec: StudySpec, workers: int, *, dataset: DatasetView | None = None, samples: int = 400
    ) -> Preflight:
        """Report what is known of a study that so many workers will train.

        Args:
            spec: The study.
            workers: How many.
            dataset: Its data set, where it is not registered.
            samples: How many architectures to draw.
        """
        dataset = dataset or self._dataset_of(spec)
        space = space_of(spec)
        try_space(space, dataset)
        check_augmentation(spec, dataset)
        check_bounds(spec.constraints)
        report = preflight.report(spec, space, dataset, samples, self._training_pace(), workers)
        if report.feasible_share > 0:
            return report
        found = feasibility.nearest(space, enforced(spec.constraints), dataset.input_shape, dataset.classes)
        refusal = None if found.is_feasible else feasibility.explained(found, spec.constraints)[1]
        return report.model_copy(update={"refusal": refusal})

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
        counts all that were trained. A study that had finished or failed, or drains by itself, runs again if
        its space or limits change, or a budget is given, and its budget has room.

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
        check_latency(spec, change)
        check_bounds(change.constraints or {})
        ahead = None
        if change.space is not None:
            spec = spec.model_copy(update={"space": change.space})
            space = space_of(spec)
            try_space(space, self._dataset_of(spec))
            with self._reading() as connection:
                ahead = spaces.judge(connection, studies.read_study(connection, study_id), space)
        with self._writing() as connection:
            study_changes.change_study(connection, study_id, change, ahead=ahead, sequence=sequence)
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

    def _source(self, study_id: int) -> warm_start.Source:
        """Return what a warm start takes of another study."""
        try:
            study = self._study_row(study_id)
        except NotFound as error:
            raise InvalidInput(FieldError("/search/warm_start", str(error))) from error
        members = self._front(study).front
        with self._reading() as connection:
            found = [trials.read_trial(connection, member.trial) for member in members]
            versions = spaces.read_spaces(connection, study_id)
        return warm_start.Source(
            input_shape=tuple(study["input_shape"]),
            classes=study["classes"],
            front=[trial for trial in found if trial is not None],
            spaces={version: resolve_space(space) for version, space in versions.items()},
        )

    def _move(self, study_id: int, request: str) -> StudyView:
        with self._writing() as connection:
            studies.move_study(connection, study_id, request)
        return self.study(study_id)

    def _dataset_of(self, spec: StudySpec) -> DatasetView:
        try:
            return self.dataset(spec.dataset)
        except NotFound as error:
            known = ", ".join(dataset.name for dataset in self.datasets())
            message = f"unknown data set {spec.dataset[:80]!r}; add one with: nas data add PATH"
            raise InvalidInput(FieldError("/dataset", message, known)) from error

    def _training_pace(self) -> float | None:
        with self._reading() as connection:
            return preflight.training_pace(catalogue.trained_work(connection, SPEED_SAMPLE))
