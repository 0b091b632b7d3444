"""What is searched, and for what."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nas_service.constraints import soft
from nas_service.metrics import METRICS
from nas_service.studies import Constraint, Objective, StudySpec
from nas_service.trials import Study
from search_spaces import Architecture, RandomTrial, SearchSpace, resolve_space


@dataclass(frozen=True)
class Task:
    """The part of a study that a sampler needs to know."""

    space: SearchSpace
    input_shape: tuple[int, ...]
    classes: int
    objectives: tuple[Objective, ...]
    constraints: Mapping[str, Constraint]
    # Of a candidate that is trained to the end.
    epochs: int

    @classmethod
    def of(cls, study: Study) -> "Task":
        """Return the task of a study, in the newest version of its space."""
        return cls.from_spec(study.spec, study.input_shape, study.classes)

    @classmethod
    def from_spec(cls, spec: StudySpec, input_shape: tuple[int, ...], classes: int) -> "Task":
        """Return the task of a spec on data of a shape."""
        return cls(
            space=resolve_space(spec.space),
            input_shape=tuple(input_shape),
            classes=classes,
            objectives=spec.objectives,
            constraints=spec.constraints,
            epochs=spec.training.epochs,
        )

    def draw(self, trial: RandomTrial) -> Architecture:
        """Return the architecture of a trial's answers."""
        return self.space.sample(trial, self.input_shape, self.classes)

    @cached_property
    def soft(self) -> dict[str, Constraint]:
        """The limits that reject nobody."""
        return soft(self.constraints)

    @cached_property
    def uncertain_objectives(self) -> frozenset[str]:
        """The objectives that no description tells."""
        names = (objective.metric for objective in self.objectives)
        return frozenset(name for name in names if METRICS[name].kind != "cost")

    @property
    def uncertain(self) -> tuple[str, ...]:
        """The metrics that objectives and limits read and no description tells, in a fixed order."""
        names = [*(objective.metric for objective in self.objectives), *self.constraints]
        return tuple(dict.fromkeys(name for name in names if METRICS[name].kind != "cost"))
