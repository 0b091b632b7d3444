"""What this process remembers of studies, so that a read costs what changed and not what there is.

Each server process keeps its own; the study's revision says what is missing from it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping

from nas_service.columns import Columns
from nas_service.details import Details
from nas_service.fronts import front_view
from nas_service.progress import Progress, objectives_of
from nas_service.store import details, figures
from nas_service.studies import StudySpec
from nas_service.views import FrontMember, FrontView

# Of all studies together, some 200 bytes each.
MOST_TRIALS = 1_000_000
# Choices of metrics that a study's fronts are kept for.
MOST_FRONTS = 8

Answer = TypeVar("Answer")
# A connection of one's own for a moment.
Open = Callable[[], AbstractContextManager[Connection]]
# Details of trials by their numbers.
ReadMembers = Callable[[Connection, list[int]], Iterable[FrontMember]]


class StudyMemory:
    """The columns and fronts of one study.

    Nobody waits for its lock with a connection in hand: whoever holds the lock may need one. And it reads on
    a connection opened under the lock, which sees all that is remembered already; one opened before need not.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._columns = Columns.empty()
        self._fronts: OrderedDict[tuple[str, ...], _Front] = OrderedDict()
        self._limits: Any = None
        self._details: Details | None = None

    @property
    def size(self) -> int:
        """Trials that are remembered."""
        return len(self._columns)

    def columns(self, study: RowMapping, open_: Open) -> Columns:
        """Return the columns as the study's row says they must be."""
        with self._lock:
            return self._refreshed(study, open_)

    def front(
        self, study: RowMapping, metrics: tuple[str, ...], open_: Open, read_members: ReadMembers
    ) -> FrontView:
        """Return the front over some metrics, none for the study's objectives."""
        with self._lock:
            columns = self._refreshed(study, open_)
            if study["spec"].get("constraints") != self._limits:
                # Fronts are measured from the limits.
                self._fronts.clear()
                self._limits = study["spec"].get("constraints")
            front = self._fronts.get(metrics)
            if front is None:
                front = self._fronts[metrics] = _Front(StudySpec.model_validate(study["spec"]), metrics)
                while len(self._fronts) > MOST_FRONTS:
                    self._fronts.popitem(last=False)
            self._fronts.move_to_end(metrics)
            return front.view(study["id"], columns, open_, read_members)

    def analysed(
        self, study: RowMapping, open_: Open, analyse: Callable[[Columns, Details], Answer]
    ) -> Answer:
        """Return what an analysis makes of the columns and details, which it must not keep."""
        with self._lock:
            columns = self._refreshed(study, open_)
            if self._details is None:
                self._details = Details(StudySpec.model_validate(study["spec"]).training.rungs)
            if columns.revision > self._details.revision:
                size, revision = len(columns), columns.revision
                with open_() as connection:
                    details.refresh(connection, study["id"], self._details, revision=revision, count=size)
            return analyse(columns, self._details)

    def _refreshed(self, study: RowMapping, open_: Open) -> Columns:
        # Two readers may bring rows of different ages: the newer one's stay.
        if study["revision"] > self._columns.revision:
            with open_() as connection:
                self._columns = figures.refreshed(connection, study, self._columns)
        return self._columns


class _Front:
    """One front, and the details of those that are on it."""

    def __init__(self, spec: StudySpec, metrics: tuple[str, ...]) -> None:
        self._objectives = objectives_of(spec, metrics)
        self._progress = Progress(self._objectives, spec)
        self._members: dict[int, FrontMember] = {}
        self._columns: Columns | None = None
        self._view: FrontView | None = None

    def view(self, study_id: int, columns: Columns, open_: Open, read_members: ReadMembers) -> FrontView:
        if self._view is None or self._columns is not columns:
            standing = self._progress.follow(columns)
            known = {number: self._members[number] for number in standing.members if number in self._members}
            missing = [number for number in standing.members if number not in known]
            if missing:
                with open_() as connection:
                    known |= {member.number: member for member in read_members(connection, missing)}
            # A trial on a front has ended, and what has ended does not change.
            self._members = known
            self._view = front_view(study_id, self._objectives, standing, self._members)
            self._columns = columns
        return self._view


class Standings:
    """The memories of the studies that were looked at last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._studies: OrderedDict[tuple[int, str], StudyMemory] = OrderedDict()

    def of(self, study: RowMapping) -> StudyMemory:
        """Return a study's memory, empty at first."""
        # With its creation: a database that was restored may give an id to another study.
        key = (study["id"], study["created_at"].isoformat())
        with self._lock:
            memory = self._studies.setdefault(key, StudyMemory())
            self._studies.move_to_end(key)
            while len(self._studies) > 1 and sum(m.size for m in self._studies.values()) > MOST_TRIALS:
                self._studies.popitem(last=False)
            return memory
