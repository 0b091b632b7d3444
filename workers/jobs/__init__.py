"""What workers do that is no trial: one file a kind, each with `run(job, tools) -> JobResult`."""

from collections.abc import Callable, Mapping

from nas_service.jobs import Job
from workers.jobs import confirm, export, retrain
from workers.jobs.tools import JobResult, Tools

HANDLERS: Mapping[str, Callable[[Job, Tools], JobResult]] = {
    "export": export.run,
    "confirm": confirm.run,
    "retrain": retrain.run,
}
