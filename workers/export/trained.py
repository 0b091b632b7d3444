"""A trained candidate with all that its export tells of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nas_service.datasets import Dataset, load_dataset
from nas_service.errors import Conflict, NotFound
from nas_service.service import Service
from nas_service.views import StudyView, TrialView
from search_spaces import Architecture
from search_spaces.modules.network import Network
from workers.checkpoint import read_network
from workers.data.arrays import Part, TrainingData, held_out_part, training_data
from workers.training.batches import validation_batches

BATCH = 256


@dataclass(frozen=True)
class Trained:
    """A complete trial: its network as it was trained, its study, and the data that it never saw."""

    study: StudyView
    trial: TrialView
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
    if trial.state != "complete":
        reason = f": {trial.reason}" if trial.reason else ""
        raise Conflict(
            f"trial {number} of study {found.study} is {trial.state}{reason}; only complete trials can be "
            f"exported, see: nas study front {found.study}"
        )
    architecture, weights = (_artifact(service, trial, kind) for kind in ("architecture", "weights"))
    dataset = load_dataset(service.stores.datasets.path(found.dataset_sha256), found.spec.dataset)
    spec = found.spec
    return Trained(
        study=found,
        trial=trial,
        network=read_network(architecture, weights),
        dataset=dataset,
        data=training_data(dataset, spec.training.validation_share, spec.search.seed),
        test=held_out_part(dataset),
    )


def _artifact(service: Service, trial: TrialView, kind: str) -> bytes:
    if kind not in trial.artifacts:
        raise NotFound(f"trial {trial.number} left no {kind} when it was trained")
    try:
        return service.artifact_path(trial.artifacts[kind]).read_bytes()
    except (NotFound, OSError) as error:
        raise NotFound(f"the {kind} of trial {trial.number} are no longer stored: {error}") from error
