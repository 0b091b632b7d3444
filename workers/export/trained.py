"""A trained candidate with all that its export tells of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nas_service.datasets import Dataset, load_dataset
from nas_service.errors import NotFound
from nas_service.export_orders import ConfirmedFigures, ExportOrder, FinalRun
from nas_service.exports import ExportRequest
from nas_service.service import Service
from nas_service.trials import Study, Trial
from search_spaces import Architecture
from search_spaces.modules.network import Network
from workers.checkpoint import read_network
from workers.data.arrays import Part, TrainingData, held_out_part, training_data
from workers.data.final import final_data
from workers.training.batches import validation_batches

BATCH = 256
# How much examples vary within themselves is told from about so many.
RANGE_EXAMPLES = 2_000


@dataclass(frozen=True)
class Trained:
    """A network as it was trained, what it was trained on, and the data that it never saw.

    It is a complete trial's as the search trained it, or what a final training made of a trial's network.
    """

    study: Study
    trial: Trial
    architecture: Architecture
    network: Network
    dataset: Dataset
    # What it was trained on, with the mean and deviation by which its inputs were normalised there.
    data: TrainingData
    test: Part
    dataset_sha256: str
    weights_sha256: str
    # Which final training it is of; None where the search trained it.
    run: FinalRun | None = None
    confirmed: ConfirmedFigures | None = None

    @property
    def has_validation(self) -> bool:
        """Whether it was trained without its validation part; if not, that one holds training examples."""
        return self.run is None or self.run.data == "train"

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (B, C, *S) inputs of a part as the network takes them, and their labels (B,)."""
        recipe = self.study.spec.training.recipe
        yield from validation_batches(replace(self.data, validation=part), BATCH, recipe.normalisation)

    @cached_property
    @torch.no_grad()
    def test_logits(self) -> Tensor:
        """Logits (N, classes) of the test part by the network as it was trained."""
        return torch.cat([self.network(inputs) for inputs, _ in self.batches(self.test)])

    @cached_property
    def input_ranges(self) -> dict[str, float]:
        """Figures of the training part's numbers, by which others are judged, named as in `Preprocessing`."""
        examples = self.data.train.examples
        low, high = examples.aminmax()
        sample = examples[:: max(1, len(examples) // RANGE_EXAMPLES)]
        pieces = [piece.float().flatten(1).std(1, correction=0) for piece in torch.split(sample, BATCH)]
        quiet = torch.cat(pieces).quantile(0.01)
        return {"minimum": float(low), "maximum": float(high), "quiet_deviation": float(quiet)}


def read_trained(service: Service, study: str, number: int, request: ExportRequest | None = None) -> Trained:
    """Return a trial's network and data.

    Args:
        service: Has the study.
        study: Its number or name.
        number: Of the trial within it.
        request: May name a final training whose network is meant instead.

    Raises:
        NotFound: There is no such trial, or its files are gone; says which.
        Conflict: The trial, or the final training, left no trained network; says why.
        InvalidInput: The final training is none of this trial.
    """
    found = service.find_study(study)
    trial = service.trial_by_number(found.study, number)
    order = service.export_order(trial, request or ExportRequest())
    datasets = service.stores.datasets
    dataset = load_dataset(datasets.path(found.dataset_sha256), found.spec.dataset)
    own = Study(
        id=found.study,
        spec=found.spec,
        state=found.state,
        dataset_sha256=found.dataset_sha256,
        input_shape=dataset.input_shape,
        classes=len(dataset.class_names),
    )
    if order.run and order.run.dataset_sha256 != own.dataset_sha256:
        dataset = load_dataset(datasets.path(order.run.dataset_sha256), order.run.dataset)
    owner = order.owner(trial)
    files = {
        kind: _artifact(service, sha256, f"{kind} of {owner}") for kind, sha256 in order.files(trial).items()
    }
    return trained_from(own, trial, dataset, files, order)


def trained_from(
    study: Study, trial: Trial, dataset: Dataset, files: dict[str, bytes], order: ExportOrder
) -> Trained:
    """Return a network as an export takes it.

    Args:
        study: Whose trial it is.
        trial: Its network was trained.
        dataset: That it was trained on: the study's, or the final training's.
        files: Contents of `order.files`, by kind.
        order: What is known besides.
    """
    run = order.run
    return Trained(
        study=study,
        trial=trial,
        architecture=Architecture.from_dict(json.loads(files["architecture"])),
        network=read_network(files["architecture"], files["weights"]),
        dataset=dataset,
        data=_searched_data(study, dataset) if run is None else _final_data(study, dataset, run),
        test=held_out_part(dataset),
        dataset_sha256=study.dataset_sha256 if run is None else run.dataset_sha256,
        weights_sha256=order.files(trial)["weights"],
        run=run,
        confirmed=order.confirmed,
    )


def _searched_data(study: Study, dataset: Dataset) -> TrainingData:
    return training_data(dataset, study.spec.training.validation_share, study.spec.search.seed)


def _final_data(study: Study, dataset: Dataset, run: FinalRun) -> TrainingData:
    """Return what a final training was trained on, normalised as its network knows it."""
    data, _ = final_data(
        dataset,
        study.spec.training.validation_share,
        study.spec.search.seed,
        with_validation=run.data == "train_and_validation",
    )
    mean, deviation = (
        torch.tensor(figures).reshape(data.mean.shape) for figures in (run.mean, run.deviation)
    )
    return replace(data, mean=mean, deviation=deviation)


def _artifact(service: Service, sha256: str, what: str) -> bytes:
    try:
        return service.artifact_path(sha256).read_bytes()
    except (NotFound, OSError) as error:
        raise NotFound(f"the {what} are no longer stored: {error}") from error
