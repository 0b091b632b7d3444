"""A chosen network trained once more: longer, or for other data from the weights that it has."""

from functools import partial

from nas_service.errors import ServiceError
from nas_service.fitting import fitted
from nas_service.jobs import Job
from nas_service.ledger.protocol import LedgerRefused
from search_spaces.modules.network import Network
from workers.data.final import final_data, on_device
from workers.data.split import SplitError
from workers.final_training import Course, train_finally
from workers.jobs.tools import JobFailed, JobResult, Tools
from workers.jobs.watching import watched
from workers.second_try import OutOfMemory
from workers.training.trainer import Diverged
from workers.training.transfer import Transfer, freeze, transfer


def run(job: Job, tools: Tools) -> JobResult:
    """Train and test; the result tells, beside the figures, what was taken over of the trial's weights."""
    trial, spec, wanted = tools.trial, tools.study.spec, job.payload
    assert trial is not None, "a network belongs to a trial"
    epochs = int(wanted["epochs"])
    try:
        dataset = tools.dataset(wanted["dataset_sha256"])
        architecture = fitted(trial.architecture, dataset.input_shape, dataset.classes)
        parts = final_data(
            dataset,
            spec.training.validation_share,
            spec.search.seed,
            with_validation=wanted["data"] == "train_and_validation",
        )
        data, test = on_device(*parts, tools.device)
        taken: list[Transfer] = []
        weights = tools.fetch(wanted["weights"]) if wanted["weights"] else None

        def prepare(network: Network) -> None:
            if weights is not None:
                taken[:] = [transfer(network, weights)]
                freeze(network, int(wanted["freeze"]))

        final = train_finally(
            architecture,
            data,
            test,
            Course(spec.training.recipe, epochs, int(wanted["seed"]), prepare),
            on_epoch=partial(watched, tools, epochs),
            company=tools.company,
        )
    except (SplitError, Diverged, OutOfMemory, ServiceError, LedgerRefused) as error:
        raise JobFailed(str(error)) from error
    told = (
        {name: list(getattr(taken[0], name)) for name in ("loaded", "mismatched", "missing")} if taken else {}
    )
    named = {name: wanted[name] for name in ("seed", "data", "dataset", "dataset_sha256", "freeze")}
    return JobResult({**final.result(), **named, "transfer": told}, final.files())
