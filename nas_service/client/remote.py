"""The service over HTTP, as commands see it: methods, views and errors are those of `Service`."""

from collections.abc import Callable, Iterator
from pathlib import Path

from nas_service.client import calls, plans
from nas_service.client.binding import calling, doing
from nas_service.client.caller import Caller, translated
from nas_service.connection import SHA256, received
from nas_service.errors import NotFound
from nas_service.event_stream import frames
from nas_service.studies import ACTIVE_STATES
from nas_service.views import EventView


class RemoteService(Caller):
    """A server's studies, trials, fronts, data sets, families and workers.

    Methods raise the errors of `nas_service.errors`, `ServerUnreachable` where nothing answers. `Client` is
    more pleasant for programs; here a command finds what it would find in process.
    """

    create_study = calling(calls.create_study)
    preflight = calling(calls.preflight)
    studies = calling(calls.studies)
    study = calling(calls.study)
    find_study = calling(calls.find_study)
    result = calling(calls.result)
    pause = calling(calls.pause)
    resume = calling(calls.resume)
    drain = calling(calls.drain)
    cancel = calling(calls.cancel)
    delete = calling(calls.delete)
    change_space = calling(calls.change_space)
    change_study = calling(calls.change_study)
    clone = calling(calls.clone)
    spaces = doing(plans.spaces)
    front = calling(calls.front)
    arms = calling(calls.arms)
    confirm = calling(calls.confirm)
    confirmation = calling(calls.confirmation)
    trials = calling(calls.trials)
    trial = calling(calls.trial)
    trial_by_number = calling(calls.trial_by_number)
    curve = calling(calls.curve)
    evaluation = calling(calls.evaluation)
    rung_places = calling(calls.rung_places)
    latencies = calling(calls.latencies)
    enqueue = calling(calls.enqueue)
    export_trial = calling(calls.export_trial)
    retrain = calling(calls.retrain)
    job = calling(calls.job)
    jobs = calling(calls.jobs)
    cancel_job = calling(calls.cancel_job)
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
    audit = calling(calls.audit)
    events = calling(calls.events)

    def follow(self, study_id: int) -> Iterator[EventView]:
        """Yield a study's events as they come until it ends; a broken stream is taken up where it broke."""
        last = 0
        with translated(self.connection.server):
            for frame in frames(self.connection, f"/studies/{study_id}/events/stream"):
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

    def receive_study_file(self, study_id: int, name: str, write: Callable[[bytes], object]) -> None:
        """Take a file of a study part by part: `report.html`, `bundle.zip`, `trials.csv`, `trials.jsonl`."""
        with translated(self.connection.server):
            self.connection.run(received(f"/studies/{study_id}/files/{name}", write))

    def artifact_path(self, sha256: str) -> Path:
        """Return a local, verified copy of a stored artifact."""
        if not SHA256.fullmatch(sha256):
            raise NotFound(f"there is no artifact {sha256[:64]!r}")
        target = self.settings.data_home / "cache" / "artifacts" / sha256
        with translated(self.connection.server):
            return self.connection.download(f"/artifacts/{sha256}", sha256, target, self.settings.cache_bytes)
