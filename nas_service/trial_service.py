"""The service's part on trials."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import RowMapping

from nas_service import evaluation
from nas_service.constraints import enforced, violations
from nas_service.errors import DamagedFile, FieldError, InvalidInput, NotFound, no_such, refused
from nas_service.front_service import FrontService
from nas_service.ledger import rungs
from nas_service.measurements import StoredMeasurement
from nas_service.paging import ORDERS, checked_page_size, decode_token, encode_token
from nas_service.store import archive, devices, enqueued, trials
from nas_service.trial_filter import Condition, filter_text, matching, read_filter
from nas_service.trials import Trial, TrialState
from nas_service.views import CurvePoint, EvaluationView, Page, RungPlace, TrialSummary, TrialView
from search_spaces import Architecture, SearchSpaceError, analyse


class TrialService(FrontService):
    """The methods of `Service` on trials."""

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
        size = checked_page_size(page_size)
        asked = read_filter(conditions)
        scope = f"trials-{study_id}-{state}-{order_by}-{filter_text(asked)}"
        behind = decode_token(page_token, scope) if page_token else None
        study = self._study_row(study_id)
        on_front = self._front(study).trials
        is_plain = not asked and order_by in ("number", "newest")
        numbers = None if is_plain else self._numbers(study, state, asked, order_by, behind, size + 1)
        with self._reading() as connection:
            if numbers is not None:
                rows = trials.read_numbers(connection, study_id, numbers, state=state)
            else:
                rows = trials.read_page(
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

    def count_trials(self, study_id: int, conditions: str) -> int:
        """Return how many trials of a study meet conditions."""
        return int(matching(self.columns(study_id), read_filter(conditions)).sum())

    def trials_of(self, study_id: int, numbers: Sequence[int]) -> list[TrialSummary]:
        """Return the trials of some numbers, in their order; a number that is none is left out."""
        on_front = self._front(self._study_row(study_id)).trials
        with self._reading() as connection:
            rows = trials.read_numbers(connection, study_id, numbers)
            return self._summaries.trials(connection, rows, on_front)

    def trial(self, trial_id: int) -> TrialView:
        """Return one trial in full."""
        with self._reading() as connection:
            trial = trials.read_trial(connection, trial_id)
        return self._trial_view(trial, no_such("trial", trial_id))

    def trial_by_number(self, study_id: int, number: int) -> TrialView:
        """Return a study's trial by its number."""
        self.study(study_id)
        with self._reading() as connection:
            trial = trials.read_numbered(connection, study_id, number)
        return self._trial_view(trial, no_such("trial", number, f"study {study_id}"))

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
            trial = enqueued.enqueue_trial(connection, study_id, network, costs, broken)
        return TrialView(**dict(trial))

    def curve(self, trial_id: int) -> list[CurvePoint]:
        """Return a trial's learning curve."""
        self.trial(trial_id)
        with self._reading() as connection:
            return trials.read_curve(connection, trial_id)

    def curves(self, trial_ids: Sequence[int]) -> dict[int, list[CurvePoint]]:
        """Return the learning curves of some trials; an id that is none is left out."""
        with self._reading() as connection:
            return trials.read_curves(connection, trial_ids)

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

    def _batch(self, study_id: int, begin: int) -> list[Trial]:
        with self._reading() as connection:
            return archive.read_batch(connection, study_id, begin)

    def _trial_view(self, trial: Trial | None, missing: NotFound) -> TrialView:
        if trial is None:
            raise missing
        is_on_front = trial.id in self.front(trial.study_id).trials
        return TrialView(**dict(trial), is_on_front=is_on_front, predicted=trial.predicted_metrics)
