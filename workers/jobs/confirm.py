"""One run of a confirmation: a network trained from scratch with a seed of its own, and tested once."""

from functools import partial

from nas_service.jobs import Job
from search_spaces import Architecture
from workers.data.final import final_data, on_device
from workers.data.split import SplitError
from workers.final_training import Course, train_finally
from workers.jobs.tools import JobFailed, JobResult, Tools
from workers.jobs.watching import watched
from workers.second_try import OutOfMemory
from workers.training.trainer import Diverged

# Seeds of confirming runs are far from those that trials of a study train with.
FIRST_SEED = 1 << 30


def run(job: Job, tools: Tools) -> JobResult:
    """Train and test; the result has every quality on the test part, and the files are the network's."""
    trial, spec = tools.trial, tools.study.spec
    assert trial is not None, "a run is about a trial"
    epochs, number = int(job.payload["epochs"]), int(job.payload["run"])
    with_validation = job.payload["data"] == "train_and_validation"
    try:
        parts = final_data(
            tools.dataset(),
            spec.training.validation_share,
            spec.search.seed,
            with_validation=with_validation,
        )
        data, test = on_device(*parts, tools.device)
        course = Course(spec.training.recipe, epochs, seed_of(spec.search.seed, trial.ordinal, number))
        final = train_finally(
            Architecture.from_dict(trial.architecture),
            data,
            test,
            course,
            on_epoch=partial(watched, tools, epochs),
            company=tools.company,
        )
    except (SplitError, Diverged, OutOfMemory) as error:
        raise JobFailed(str(error)) from error
    return JobResult({**final.result(), "seed": course.seed, "data": job.payload["data"]}, final.files())


def seed_of(study_seed: int, ordinal: int, run: int) -> int:
    """Return the seed of a run: the same for every attempt at it, another for each trial and run."""
    return FIRST_SEED + (study_seed * 1_000_003 + ordinal * 101 + run) % FIRST_SEED
