"""Rows of earlier versions of a space, as the newest version would have drawn them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution

from nas_service.trials import Forbidden, Repeat, Study, Trial
from search_spaces import SearchSpace, resolve_space
from search_spaces.versions import carried

Row = Trial | Repeat | Forbidden
Drawn = tuple[dict[str, Any], dict[str, BaseDistribution]]


class Carrier:
    """Tells under which parameters the newest space knows a row.

    Optuna refuses other choices under a known name, so nothing is shown with those of an earlier version.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._spaces: dict[int, SearchSpace] = {}

    def _is_same(self, version: int) -> bool:
        """Whether only the study's limits have changed since a version of the space."""
        earlier = self._spaces.get(version)
        return earlier is not None and earlier == self._spaces.get(self._study.space_version)

    def learn(self, spaces: Mapping[int, Any]) -> None:
        """Take over the versions of the space."""
        self._spaces |= {version: resolve_space(space) for version, space in spaces.items()}

    def drawn(self, row: Row) -> Drawn | None:
        """Return parameters and distributions; None for what the newest space could not have drawn."""
        if row.space_version in (None, self._study.space_version) or self._is_same(row.space_version):
            return row.params, {name: _distribution(text) for name, text in row.distributions.items()}
        if isinstance(row, Forbidden):
            # The rule may be gone.
            return None
        earlier, newest = (
            self._spaces.get(version) for version in (row.space_version, self._study.space_version)
        )
        if earlier is None or newest is None:
            # Of a version that came after this replica, which will soon be replaced.
            return None
        study = self._study
        found = carried(row.params, earlier, newest, study.input_shape, study.classes)
        if found is None:
            return None
        return found.params, {
            name: CategoricalDistribution(choices) for name, choices in found.choices.items()
        }


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
