"""The service's part on fronts, and on figures over all trials of a study."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from sqlalchemy import Connection, RowMapping

from nas_service.arms import ArmsView, compared
from nas_service.columns import Columns
from nas_service.confirming import quality_of
from nas_service.constraints import is_kept
from nas_service.details import Details
from nas_service.errors import FieldError, InvalidInput, NotFound, ServiceError
from nas_service.export_service import ExportService
from nas_service.metrics import METRICS
from nas_service.standings import Answer, Standings
from nas_service.store import arms, studies, trials
from nas_service.store.left_out import count_left_out
from nas_service.store.summaries import Summaries
from nas_service.studies import ACTIVE_STATES, StudySpec
from nas_service.study_service import StudyService
from nas_service.views import FrontForm, FrontMember, FrontView, StudyResult

# Studies whose figures are read ahead when a server starts.
WARM = 3


class FrontService(StudyService, ExportService):
    """The methods of `Service` on fronts and what they are read from."""

    _standings: Standings
    _summaries: Summaries

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

    def result(self, study_id: int) -> StudyResult:
        """Return a study with its front, and what its sampler left out."""
        study = self.study(study_id)
        left_out: dict[str, int] = {}
        # The others make a trial of everything.
        if study.spec.search.sampler == "auto":
            with self._reading() as connection:
                left_out = count_left_out(connection, study_id)
        return StudyResult(**dict(study), front=self.front(study_id).front, left_out=left_out)

    def arms(self, study_id: int) -> ArmsView:
        """Return what the search and its control arm found for the epochs that each trained."""
        with self._reading() as connection:
            spec = StudySpec.model_validate(studies.read_study(connection, study_id)["spec"])
            return compared(study_id, spec, arms.read_ended(connection, study_id))

    def members_of(self, study_id: int, numbers: Sequence[int]) -> list[FrontMember]:
        """Return the trials of some numbers as fronts show them; a number that is none is left out."""
        with self._reading() as connection:
            rows = trials.read_numbers(connection, study_id, numbers)
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

    def warm_up(self) -> None:
        """Read the figures of the newest studies that go on, so that the first reader need not wait.

        A database that is away is none of its business: whoever reads will be told.
        """
        with suppress(ServiceError):
            for study in [study for study in self.studies().items if study.state in ACTIVE_STATES][:WARM]:
                self.front(study.study)

    def _members_that_count(self, trial_ids: list[int]) -> list[FrontMember]:
        with self._reading() as connection:
            rows = trials.read_listed(connection, trial_ids)
            worthy = [row for row in rows if row["excluded"] is None and is_kept(row["violations"])]
            return self._summaries.members(connection, worthy)

    def _front(self, study: RowMapping, metrics: tuple[str, ...] = ()) -> FrontView:
        def read_members(connection: Connection, numbers: list[int]) -> list[FrontMember]:
            rows = trials.read_numbers(connection, study["id"], numbers)
            if len(rows) < len(numbers):
                raise NotFound(f"study {study['id']} was deleted meanwhile")
            return self._summaries.members(connection, rows)

        return self._standings.of(study).front(study, metrics, self._reading, read_members)
