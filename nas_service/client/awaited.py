"""The client for event loops: what `Client` has, to be awaited."""

from nas_service.client import calls, plans, study_plans, trial_plans
from nas_service.client.binding import calling_async, doing_async, listing_async
from nas_service.client.caller import AsyncCaller
from nas_service.client.handle import StudyHandle, TrialHandle
from nas_service.views import StudyView, TrialSummary, TrialView


class AsyncTrial(TrialHandle):
    """One candidate: what is known of it, and its files."""

    def __init__(self, view: TrialSummary | TrialView, caller: AsyncCaller) -> None:
        super().__init__(view)
        self.caller = caller

    refresh = doing_async(trial_plans.refresh)
    details = doing_async(trial_plans.details)
    curve = doing_async(trial_plans.curve)
    evaluation = doing_async(trial_plans.evaluation)
    latencies = doing_async(trial_plans.latencies)
    download = doing_async(trial_plans.download)
    export = doing_async(trial_plans.export)


class AsyncStudy(StudyHandle):
    """One search: watch it, steer it, and take its front away."""

    def __init__(self, view: StudyView, caller: AsyncCaller) -> None:
        super().__init__(view)
        self.caller = caller

    def trial_handle(self, view: TrialSummary | TrialView) -> AsyncTrial:
        """Return a handle of a trial."""
        return AsyncTrial(view, self.caller)

    def study_handle(self, view: StudyView) -> "AsyncStudy":
        """Return a handle of another study."""
        return AsyncStudy(view, self.caller)

    refresh = doing_async(study_plans.refresh)
    wait = doing_async(study_plans.wait)
    pause = doing_async(study_plans.pause)
    resume = doing_async(study_plans.resume)
    drain = doing_async(study_plans.drain)
    cancel = doing_async(study_plans.cancel)
    delete = doing_async(study_plans.delete)
    change = doing_async(study_plans.change)
    clone = doing_async(study_plans.clone)
    spaces = doing_async(study_plans.spaces)
    front = doing_async(study_plans.front)
    confirm = doing_async(study_plans.confirm)
    confirmation = doing_async(study_plans.confirmation)
    plot_front = doing_async(study_plans.plot_front)
    to_pandas = doing_async(study_plans.to_pandas)
    trials = listing_async(study_plans.trials)
    trial = doing_async(study_plans.trial)
    enqueue = doing_async(study_plans.enqueue)
    events = listing_async(study_plans.events)


class AsyncClient(AsyncCaller):
    """`Client` for an event loop: methods are awaited, listings go through `async for`.

    async with AsyncClient() as client:
        study = await client.search(dataset="digits")
        await study.wait()
        async for trial in study.trials(state="complete"):
            print(trial.metrics)
    """

    def study_handle(self, view: StudyView) -> AsyncStudy:
        """Return a handle of a study."""
        return AsyncStudy(view, self)

    def trial_handle(self, view: TrialSummary | TrialView) -> AsyncTrial:
        """Return a handle of a trial."""
        return AsyncTrial(view, self)

    search = doing_async(plans.search)
    preflight = doing_async(plans.preflight)
    study = doing_async(plans.study)
    studies = listing_async(plans.studies)
    trial = doing_async(plans.trial)
    families = doing_async(plans.families)
    family = calling_async(calls.family)
    describe = calling_async(calls.describe)
    datasets = doing_async(plans.datasets)
    dataset = calling_async(calls.dataset)
    delete_dataset = calling_async(calls.delete_dataset)
    add_dataset = doing_async(plans.add_dataset)
    workers = doing_async(plans.workers)
    devices = doing_async(plans.devices)
    tokens = doing_async(plans.tokens)
    create_token = calling_async(calls.create_token)
    revoke_token = calling_async(calls.revoke_token)
    audit = listing_async(plans.audit)
