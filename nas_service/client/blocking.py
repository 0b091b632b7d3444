"""The client for programs that wait for each answer."""

from nas_service.client import calls, plans, study_plans, trial_plans
from nas_service.client.binding import calling, doing, listing
from nas_service.client.caller import Caller
from nas_service.client.handle import StudyHandle, TrialHandle
from nas_service.views import StudyView, TrialSummary, TrialView


class Trial(TrialHandle):
    """One candidate: what is known of it, and its files."""

    def __init__(self, view: TrialSummary | TrialView, caller: Caller) -> None:
        super().__init__(view)
        self.caller = caller

    refresh = doing(trial_plans.refresh)
    details = doing(trial_plans.details)
    curve = doing(trial_plans.curve)
    evaluation = doing(trial_plans.evaluation)
    latencies = doing(trial_plans.latencies)
    download = doing(trial_plans.download)
    export = doing(trial_plans.export)


class Study(StudyHandle):
    """One search: watch it, steer it, and take its front away."""

    def __init__(self, view: StudyView, caller: Caller) -> None:
        super().__init__(view)
        self.caller = caller

    def trial_handle(self, view: TrialSummary | TrialView) -> Trial:
        """Return a handle of a trial."""
        return Trial(view, self.caller)

    def study_handle(self, view: StudyView) -> "Study":
        """Return a handle of another study."""
        return Study(view, self.caller)

    refresh = doing(study_plans.refresh)
    wait = doing(study_plans.wait)
    pause = doing(study_plans.pause)
    resume = doing(study_plans.resume)
    drain = doing(study_plans.drain)
    cancel = doing(study_plans.cancel)
    delete = doing(study_plans.delete)
    change = doing(study_plans.change)
    clone = doing(study_plans.clone)
    spaces = doing(study_plans.spaces)
    front = doing(study_plans.front)
    confirm = doing(study_plans.confirm)
    confirmation = doing(study_plans.confirmation)
    plot_front = doing(study_plans.plot_front)
    to_pandas = doing(study_plans.to_pandas)
    trials = listing(study_plans.trials)
    trial = doing(study_plans.trial)
    enqueue = doing(study_plans.enqueue)
    events = listing(study_plans.events)


class Client(Caller):
    """A server's studies, data sets, families, workers and tokens.

        with Client() as client:
            study = client.search(dataset="digits", constraints={"params": {"max": 20_000}})
            study.wait(progress=True)
            print(study.front().to_pandas())

    Methods raise the errors of `nas_service.errors`, one kind for each type of problem; `ServerUnreachable`
    where nothing answers. What may be sent again is, three times, with growing pauses.
    """

    def study_handle(self, view: StudyView) -> Study:
        """Return a handle of a study."""
        return Study(view, self)

    def trial_handle(self, view: TrialSummary | TrialView) -> Trial:
        """Return a handle of a trial."""
        return Trial(view, self)

    search = doing(plans.search)
    preflight = doing(plans.preflight)
    study = doing(plans.study)
    studies = listing(plans.studies)
    trial = doing(plans.trial)
    families = doing(plans.families)
    family = calling(calls.family)
    describe = calling(calls.describe)
    datasets = doing(plans.datasets)
    dataset = calling(calls.dataset)
    delete_dataset = calling(calls.delete_dataset)
    add_dataset = doing(plans.add_dataset)
    workers = doing(plans.workers)
    devices = doing(plans.devices)
    tokens = doing(plans.tokens)
    create_token = calling(calls.create_token)
    revoke_token = calling(calls.revoke_token)
    audit = listing(plans.audit)
