"""Trials as lists and fronts show them, with the network in one line."""

from collections.abc import Container, Sequence

from sqlalchemy import Connection, RowMapping

from nas_service.store.trials import read_architectures
from nas_service.trials import latency_interval, predicted_metrics
from nas_service.views import FrontMember, TrialSummary
from search_spaces.wording import stored_summary

_PLAIN = tuple(TrialSummary.model_fields.keys() - {"is_on_front", "summary", "predicted"})


class Summaries:
    """Puts rows of `trials.LISTED_COLUMNS` into views, and remembers networks in words, some 300 bytes each.

    A description is most of a row and never changes: what has been put into words is not read again.
    """

    most = 20_000

    def __init__(self) -> None:
        # By trial id.
        self._words: dict[int, str] = {}

    def trials(
        self, connection: Connection, rows: Sequence[RowMapping], on_front: Container[int]
    ) -> list[TrialSummary]:
        """Return trials as lists show them.

        Args:
            connection: Reads networks.
            rows: The trials.
            on_front: Ids of the trials on the study's front.
        """
        words = self._words_of(connection, [row["id"] for row in rows])
        return [
            TrialSummary.model_construct(
                **{name: row[name] for name in _PLAIN},
                is_on_front=row["id"] in on_front,
                summary=words[row["id"]],
                predicted=predicted_metrics(row["latency"]),
            )
            for row in rows
        ]

    def members(self, connection: Connection, rows: Sequence[RowMapping]) -> list[FrontMember]:
        """Return trials as fronts show them, with their networks."""
        networks = read_architectures(connection, [row["id"] for row in rows])
        return [
            FrontMember.model_construct(
                trial=row["id"],
                number=row["number"],
                values=row["metrics"],
                architecture=networks[row["id"]],
                architecture_hash=row["architecture_hash"],
                summary=stored_summary(networks[row["id"]]),
                predicted=predicted_metrics(row["latency"]),
                violations=row["violations"],
                latency_interval_ms=latency_interval(row["latency"]),
            )
            for row in rows
        ]

    def _words_of(self, connection: Connection, ids: Sequence[int]) -> dict[int, str]:
        # Another reader may begin anew meanwhile.
        kept = self._words
        known = {trial: kept[trial] for trial in ids if trial in kept}
        networks = read_architectures(connection, [trial for trial in ids if trial not in known])
        new = {trial: stored_summary(network) for trial, network in networks.items()}
        if len(self._words) + len(new) > self.most:
            self._words = {}
        self._words |= new
        return {**dict.fromkeys(ids, ""), **known, **new}
