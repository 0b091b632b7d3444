"""A trained candidate with all that its export tells of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nas_service.datasets import Dataset, load_dataset
from nas_service.errors import NotFound
from nas_service.exports import check_exportable
from nas_service.service import Service
from nas_service.trials import Study, Trial
from search_spaces import Architecture
from search_spaces.modules.network import Network
from workers.checkpoint import read_network
from workers.data.arrays import Part, TrainingData, held_out_part, training_data
from workers.training.batches import validation_batches

BATCH = 256


@dataclass(frozen=True)
class Trained:
    """A complete trial: its network as it was trained, its study, and the data that it never saw."""

    study: Study
    trial: Trial
    network: Network
    dataset: Dataset
    data: TrainingData
    test: Part

    @property
    def architecture(self) -> Architecture:
        """The description of the network."""
        return Architecture.from_dict(self.trial.architecture)

    def batches(self, part: Part) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (B, C, *S) inputs of a part as the network takes them, and their labels (B,)."""
        recipe = self.study.spec.training.recipe
        yield from validation_batches(replace(self.data, validation=part), BATCH, recipe.normalisation)

    @cached_property
    @torch.no_grad()
    def test_logits(self) -> Tensor:
        """Logits (N, classes) of the test part by the network as it was trained."""
        return torch.cat([self.network(inputs) for inputs, _ in self.batches(self.test)])


def read_trained(service: Service, study: str, number: int) -> Trained:
    """Return a trial's network and data.

    Raises:
        NotFound: There is no such trial, or its files are gone; says which.
        Conflict: The trial has no trained network; says why.
    """
    found = service.find_study(study)
    trial = service.trial_by_number(found.study, number)
    check_exportable(trial)
    dataset = load_dataset(service.stores.datasets.path(found.dataset_sha256), found.spec.dataset)
    own = Study(
        id=found.study,
        spec=found.spec,
        state=found.state,
        dataset_sha256=found.dataset_sha256,
        input_shape=dataset.input_shape,
        classes=len(dataset.class_names),
    )
    return trained_from(own, trial, dataset, lambda kind: _artifact(service, trial, kind))


def trained_from(study: Study, trial: Trial, dataset: Dataset, fetch: Callable[[str], bytes]) -> Trained:
    """Return a complete trial as an export takes it.

    Args:
        study: Whose trial it is.
        trial: Complete, with its files stored.
        dataset: The study's.
        fetch: Returns the content of one of the trial's files, by kind.
    """
    return Trained(
        study=study,
        trial=trial,
        network=read_network(fetch("architecture"), fetch("weights")),
        dataset=dataset,
        data=training_data(dataset, study.spec.training.validation_share, study.spec.search.seed),
        test=held_out_part(dataset),
    )


def _artifact(service: Service, trial: Trial, kind: str) -> bytes:
    try:
        return service.artifact_path(trial.artifacts[kind]).read_bytes()
    except (NotFound, OSError) as error:
        raise NotFound(f"the {kind} of trial {trial.number} are no longer stored: {error}") from error
