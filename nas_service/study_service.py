"""The service's part on studies as they stand: lists, spaces, events."""

from collections.abc import Sequence

from sqlalchemy import RowMapping

from nas_service.catalogue_service import CatalogueService
from nas_service.errors import no_such
from nas_service.paging import checked_page_size, decode_token, encode_token
from nas_service.reasons import reason_of
from nas_service.store import confirmations, events, spaces, studies, trials
from nas_service.views import EventView, Page, SpaceVersion, StudyView, TrialSpan


class StudyService(CatalogueService):
    """The methods of `Service` that tell of studies."""

    def studies(
        self,
        *,
        page_size: int = 50,
        page_token: str | None = None,
        state: str | None = None,
        name: str | None = None,
    ) -> Page[StudyView]:
        """List studies, the newest first; of a state, and with a text in their names, if asked for."""
        size = checked_page_size(page_size)
        below = decode_token(page_token, "studies") if page_token else None
        with self._reading() as connection:
            rows = studies.read_studies(connection, below=below, limit=size + 1, state=state, name=name)
            workers = self._workers(connection)
            going = confirmations.under_way(connection, [row["id"] for row in rows])
        views = [studies.view_of(row, reason_of(row, workers, going.get(row["id"]))) for row in rows[:size]]
        more = len(rows) > size
        return Page[StudyView](
            items=views, next_page_token=encode_token("studies", views[-1].study) if more else None
        )

    def study(self, study_id: int) -> StudyView:
        """Return one study."""
        with self._reading() as connection:
            row = studies.read_study(connection, study_id)
            going = confirmations.under_way(connection, [study_id])
            return studies.view_of(row, reason_of(row, self._workers(connection), going.get(study_id)))

    def find_study(self, id_or_name: str) -> StudyView:
        """Return the study of an id, or the newest of a name."""
        if id_or_name.isdigit() and len(id_or_name) < 10:
            return self.study(int(id_or_name))
        with self._reading() as connection:
            ids = studies.ids_of_name(connection, id_or_name)
        if not ids:
            raise no_such("study", id_or_name)
        return self.study(ids[0])

    def spaces(self, study_id: int) -> list[SpaceVersion]:
        """Return all versions of a study's space, the first one first."""
        self.study(study_id)
        with self._reading() as connection:
            return spaces.read_versions(connection, study_id)

    def events(self, after: int = 0, study_id: int | None = None, limit: int = 500) -> list[EventView]:
        """Return the events behind a sequence number."""
        with self._reading() as connection:
            return events.after(connection, after, study_id=study_id, limit=limit)

    def study_log(
        self, study_id: int, kinds: Sequence[str], *, page_size: int = 50, page_token: str | None = None
    ) -> Page[EventView]:
        """List a study's events of some kinds, the newest first."""
        size = checked_page_size(page_size)
        scope = f"log-{study_id}-{'-'.join(kinds)}"
        below = decode_token(page_token, scope) if page_token else None
        with self._reading() as connection:
            rows = events.before(connection, study_id, kinds=kinds, below=below, limit=size + 1)
        more = len(rows) > size
        return Page[EventView](
            items=rows[:size], next_page_token=encode_token(scope, rows[size - 1].sequence) if more else None
        )

    def spans(self, study_id: int, *, limit: int = 500) -> list[TrialSpan]:
        """Return which worker trained which trial when, of the trials begun last."""
        self._study_row(study_id)
        with self._reading() as connection:
            return trials.read_spans(connection, study_id, limit)

    def latest_event(self) -> int:
        """Return the newest event's sequence number, 0 before the first."""
        with self._reading() as connection:
            return events.last(connection)

    def _study_row(self, study_id: int) -> RowMapping:
        with self._reading() as connection:
            return studies.read_study(connection, study_id)
