"""What can be done with one study; the first parameter is its handle."""

import time
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from nas_service.client import calls
from nas_service.client.call import Call, ask
from nas_service.client.feeds import POLL_S, News, Pages
from nas_service.client.handle import OpensStudies, OpensTrials, StudyHandle
from nas_service.client.plans import everything
from nas_service.confirmations import ConfirmationView, ConfirmRequest
from nas_service.exchange import Pause, Plan
from nas_service.frames import frame
from nas_service.progress_bar import StudyBar
from nas_service.spec_file import read_change, read_model
from nas_service.studies import ACTIVE_STATES
from nas_service.trials import TrialState
from nas_service.views import FrontView, SpaceVersion, StudyView, TrialSummary

Handle = TypeVar("Handle", bound=StudyHandle)
Trial = TypeVar("Trial", covariant=True)
Clone = TypeVar("Clone", covariant=True)


class StudyOf(OpensTrials[Trial], OpensStudies[Clone], Protocol[Trial, Clone]):
    """A study's handle that makes handles of its trials and of further studies."""

    @property
    def id(self) -> int: ...


def refresh(study: Handle) -> Plan[Handle]:
    """Ask how the study stands now."""
    return (yield from _told(study, calls.study(study.id)))


def wait(
    study: Handle, *, progress: bool = False, timeout_s: float | None = None, poll_s: float = POLL_S
) -> Plan[Handle]:
    """Wait until the study has ended, however it ends: look at `state` and `reason`.

    Args:
        study: Which study.
        progress: Show a bar meanwhile, in a notebook too.
        timeout_s: Wait no longer than this.
        poll_s: Seconds between two looks.

    Raises:
        TimeoutError: It goes on after `timeout_s`; the message says what it is waiting for.
    """
    end = time.monotonic() + timeout_s if timeout_s is not None else None
    with StudyBar(is_shown=progress) as bar:
        while True:
            yield from refresh(study)
            bar.show(study.view)
            if study.state not in ACTIVE_STATES:
                return study
            if end is not None and time.monotonic() + poll_s > end:
                raise TimeoutError(f"study {study.id} is {study.state} after {timeout_s} s: {study.reason}")
            yield Pause(poll_s)


def pause(study: Handle) -> Plan[Handle]:
    """Propose nothing more until resumed; running trials end."""
    return (yield from _told(study, calls.pause(study.id)))


def resume(study: Handle) -> Plan[Handle]:
    """Go on with the paused study."""
    return (yield from _told(study, calls.resume(study.id)))


def drain(study: Handle) -> Plan[Handle]:
    """Finish what runs, propose nothing more."""
    return (yield from _told(study, calls.drain(study.id)))


def cancel(study: Handle) -> Plan[Handle]:
    """End the study now; running trials are abandoned, finished ones stay."""
    return (yield from _told(study, calls.cancel(study.id)))


def change(study: Handle, /, **fields: Any) -> Plan[Handle]:
    """Give the study another `name`, `budget` or `space`; raises `Stale` if it changed since the last look.

    `study.change(budget={"trials": 300})` lets a finished study go on.
    """
    wanted, sequence = read_change(fields), study.view.sequence
    return (yield from _told(study, calls.change_study(study.id, wanted, sequence=sequence)))


def clone(study: StudyOf[Any, Clone], /, **changes: Any) -> Plan[Clone]:
    """Launch a study with the same spec, and return it; `changes` are fields of the spec."""
    return study.study_handle((yield from ask(calls.clone(study.id, changes))))


def spaces(study: StudyHandle) -> Plan[list[SpaceVersion]]:
    """Return all versions of the space, the first one first."""
    return (yield from everything(lambda token: calls.spaces(study.id, token)))


def delete(study: StudyHandle) -> Plan[None]:
    """Delete the ended study with all its trials."""
    return (yield from ask(calls.delete(study.id)))


def front(study: StudyHandle, *metrics: str) -> Plan[FrontView]:
    """Return the Pareto front, over the objectives or over given metrics; `.to_pandas()` makes it a table."""
    return (yield from ask(calls.front(study.id, metrics or None)))


def confirm(study: StudyHandle, /, **wanted: Any) -> Plan[ConfirmationView]:
    """Have members of the front trained again from scratch, with several seeds, and tested.

    Fields are those of `nas_service.confirmations.ConfirmRequest`, for instance `top=3, seeds=5`, or
    `trials=[17]`. Ask `confirmation()` how it stands; `front` tells the figures of confirmed members.
    """
    return (yield from ask(calls.confirm(study.id, read_model(wanted, ConfirmRequest))))


def confirmation(study: StudyHandle) -> Plan[ConfirmationView]:
    """Return how the confirmation stands: a member each with its runs, their mean and deviation."""
    return (yield from ask(calls.confirmation(study.id)))


def plot_front(study: StudyHandle, x: str | None = None, y: str | None = None) -> Plan[Any]:
    """Return the front of two metrics as a `plotly.graph_objects.Figure`, as the study's page draws it.

    Args:
        study: Which study.
        x: Metric across; a cost by default.
        y: Metric upwards; a quality by default.
    """
    # Drawing needs far more of the service than asking does.
    from plotly.graph_objects import Figure

    from nas_service.dashboard import figures

    view = yield from ask(calls.study(study.id))
    across, upwards = figures.default_axes(view.spec)
    across, upwards = x or across, y or upwards
    members = yield from ask(calls.front(study.id, (across, upwards)))
    trials = yield from _all_trials(study)
    return Figure(figures.pareto(view, members, trials, x=across, y=upwards))


def to_pandas(study: StudyHandle) -> Plan[Any]:
    """Return a `pandas.DataFrame` of all trials, a row each; raises `MissingPackage` without pandas."""
    trials = yield from _all_trials(study)
    rows = [{**trial.model_dump(exclude={"metrics", "violations"}), **trial.metrics} for trial in trials]
    return frame(rows, index="number")


def trials(
    study: StudyOf[Trial, Any],
    *,
    state: TrialState | None = None,
    conditions: str = "",
    order_by: str = "number",
) -> Pages[TrialSummary, Trial]:
    """Yield the trials, page by page as they are needed.

    Args:
        study: Which study.
        state: Only those in this state.
        conditions: Such as `accuracy>=0.95,params<30000`.
        order_by: `number`, `newest`, or a metric, which yields the best first, with a minus the worst.
    """
    return Pages(
        lambda token: calls.trials(
            study.id,
            state=state,
            conditions=conditions,
            order_by=order_by,
            page_size=calls.ALL,
            page_token=token,
        ),
        study.trial_handle,
    )


def trial(study: StudyOf[Trial, Any], number: int) -> Plan[Trial]:
    """Return the trial of a number; raises `NotFound`."""
    return study.trial_handle((yield from ask(calls.trial_by_number(study.id, number))))


def enqueue(study: StudyOf[Trial, Any], architecture: Mapping[str, Any]) -> Plan[Trial]:
    """Have an architecture of your own trained; it counts towards the budget."""
    return study.trial_handle((yield from ask(calls.enqueue(study.id, dict(architecture)))))


def events(study: StudyHandle, after: int = 0) -> News:
    """Yield what happens, from the first event (or behind a sequence) until the study has ended."""
    return News(study.id, after)


def _told(study: Handle, call: Call[StudyView]) -> Plan[Handle]:
    study.view = yield from ask(call)
    return study


def _all_trials(study: StudyHandle) -> Plan[list[TrialSummary]]:
    page_size = calls.ALL
    return (
        yield from everything(lambda token: calls.trials(study.id, page_size=page_size, page_token=token))
    )
