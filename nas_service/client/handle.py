"""What a handle knows without asking: the state that was told last."""

from typing import Protocol, TypeVar

from nas_service.frames import html_table
from nas_service.studies import StudySpec, StudyState
from nas_service.trials import TrialState
from nas_service.views import StudyView, TrialCounts, TrialSummary, TrialView

Handle = TypeVar("Handle", covariant=True)


class OpensStudies(Protocol[Handle]):
    """Who makes handles of studies."""

    def study_handle(self, view: StudyView) -> Handle:
        """Return a handle that asks as its maker asks."""


class OpensTrials(Protocol[Handle]):
    """Who makes handles of trials."""

    def trial_handle(self, view: TrialSummary | TrialView) -> Handle:
        """Return a handle that asks as its maker asks."""


class StudyHandle:
    """One study, as it stood when its server was last asked."""

    def __init__(self, view: StudyView) -> None:
        self.view = view

    @property
    def id(self) -> int:
        return self.view.study

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def state(self) -> StudyState:
        return self.view.state

    @property
    def reason(self) -> str:
        """Why it is in this state, or what it waits for, in words."""
        return self.view.reason

    @property
    def spec(self) -> StudySpec:
        return self.view.spec

    @property
    def counts(self) -> TrialCounts:
        """Trials by state."""
        return self.view.trials

    @property
    def is_over(self) -> bool:
        return self.view.finished_at is not None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.name!r} {self.state}: {self.reason}>"

    def _repr_html_(self) -> str:
        trained = f"{self.counts.trained} of {self.view.budget_trials or 'as many as fit'}"
        told = {"study": self.id, "name": self.name, "state": self.state, "trained": trained}
        return html_table([{**told, "reason": self.reason}], [*told, "reason"])


class TrialHandle:
    """One candidate, as it stood when its server was last asked."""

    def __init__(self, view: TrialSummary | TrialView) -> None:
        self.view = view

    @property
    def id(self) -> int:
        return self.view.id

    @property
    def number(self) -> int:
        """Its place in the study, from 0."""
        return self.view.number

    @property
    def state(self) -> TrialState:
        return self.view.state

    @property
    def reason(self) -> str | None:
        return self.view.reason

    @property
    def metrics(self) -> dict[str, float]:
        return self.view.metrics

    @property
    def is_on_front(self) -> bool:
        return self.view.is_on_front

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of study {self.view.study_id} {self.state}>"

    def _repr_html_(self) -> str:
        told = {"trial": self.number, "study": self.view.study_id, "state": self.state, **self.metrics}
        return html_table([told], list(told))
