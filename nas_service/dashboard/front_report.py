"""What is to be said about a front, gathered from the service once for plot, table and words."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nas_service.columns import ARMS, Columns
from nas_service.dashboard.front_choice import FrontChoice
from nas_service.front import knee, non_dominated
from nas_service.metrics import METRICS
from nas_service.service import Service
from nas_service.significance import tied
from nas_service.trade_offs import Mask, Step, WithinLimits, own_limits, steps, within
from nas_service.views import FrontMember, StudyView


@dataclass(frozen=True)
class FrontReport:
    """A front within the limits of a choice; each part is found when it is asked for."""

    service: Service
    choice: FrontChoice
    # What the front is over.
    metrics: tuple[str, ...]

    @cached_property
    def columns(self) -> Columns:
        return self.service.columns(self.choice.study.study)

    @cached_property
    def within(self) -> WithinLimits:
        """What is known within the limits."""
        return within(self.columns, self.choice.study.spec, self.choice.limits, self.choice.quality)

    @cached_property
    def examples(self) -> int:
        """The size of the validation part."""
        return validation_examples(self.service, self.choice.study)

    @cached_property
    def members(self) -> list[FrontMember]:
        """The front, from the least of its first metric to the most."""
        found = self._own() if not self.choice.has_other_limits else self._within()
        has_all = [member for member in found if all(name in member.values for name in self.metrics)]
        return sorted(has_all, key=lambda member: [member.values[name] for name in self.metrics])

    @cached_property
    def tied(self) -> dict[int, int]:
        """Who is tied with another of the front, by number, and with whom."""
        prices_first = sorted(self.metrics, key=lambda name: METRICS[name].kind == "quality")
        return tied(self.members, prices_first, self.examples)

    @cached_property
    def significant(self) -> list[FrontMember]:
        """The front without those that are tied with another of it."""
        return [member for member in self.members if member.number not in self.tied]

    @cached_property
    def knee(self) -> int | None:
        """The number of the member behind which each step costs more than it gives."""
        # What is tied has no say, as long as there is enough else.
        members = self.significant if len(self.significant) > 2 else self.members
        values = np.array([[member.values[name] for name in self.metrics] for member in members])
        place = knee(values, [METRICS[name].goal for name in self.metrics]) if len(values) else None
        return None if place is None else members[place].number

    @cached_property
    def best(self) -> FrontMember | None:
        """The trained network within the limits that has the best quality, the cheapest of equals."""
        number, quality = self.within.best, self.choice.quality
        if number is None:
            return None
        value = self.columns.values(quality)[number]
        equals = [member for member in self.members if member.values.get(quality) == value]
        found = equals or self.service.members_of(self.choice.study.study, [number])
        return next(iter(found), None)

    @cached_property
    def steps(self) -> list[Step]:
        """What each step along the significant front pays and gains; none where no price is looked at."""
        price, quality = self.choice.price, self.choice.quality
        if price is None or not {price, quality} <= set(self.metrics):
            return []
        return steps(self.significant, price, quality, self.examples)

    @cached_property
    def random_front(self) -> list[FrontMember]:
        """The front of the control arm alone; empty where the study has none."""
        if not self.choice.study.spec.search.random_share:
            return []
        is_random = self.columns.arms == ARMS.index("random")
        return self._front_of(np.asarray(self.within.fitting & is_random, np.bool_))

    def _own(self) -> list[FrontMember]:
        is_own = set(self.metrics) == set(self.choice.objectives)
        # Over the objectives themselves the front is most likely known already.
        return self.service.front(self.choice.study.study, None if is_own else self.metrics).front

    def _within(self) -> list[FrontMember]:
        return self._front_of(self.within.fitting)

    def _front_of(self, mask: Mask) -> list[FrontMember]:
        numbers = np.flatnonzero(mask)
        values = np.column_stack([self.columns.values(name)[numbers] for name in self.metrics])
        is_best = non_dominated(values, [METRICS[name].goal for name in self.metrics])
        return self.service.members_of(self.choice.study.study, numbers[is_best].tolist())


def validation_examples(service: Service, study: StudyView) -> int:
    """Return about how many examples a study judges its networks on."""
    share = study.spec.training.validation_share
    return max(1, round(service.dataset(study.spec.dataset).train_examples * share))


def slack(choice: FrontChoice, values: dict[str, float], violations: dict[str, float]) -> dict[str, float]:
    """Return by which share of each limit's bound a network stays below it; negative where it breaks it.

    Under the study's own limit as the limit is applied, a latency's by its statistic; under another one by
    the figure itself.
    """
    own = own_limits(choice.study.spec)
    found = {}
    for name, bound in choice.limits.items():
        if bound == own.get(name) and name in violations:
            found[name] = -violations[name]
        elif name in values:
            found[name] = (bound - values[name]) / bound
    return found
