"""Listings that turn their own pages, and news."""

from collections.abc import Callable
from typing import Generic, TypeVar

from nas_service.client import calls
from nas_service.client.call import Call, ask
from nas_service.exchange import Pause, Plan
from nas_service.studies import ACTIVE_STATES
from nas_service.views import EventView, Page

View = TypeVar("View")
Item = TypeVar("Item")
# How often a study that goes on is asked for news.
POLL_S = 1.0


class Pages(Generic[View, Item]):
    """All items of a listing.

    Args:
        page: Returns the call for the page of a token, None for the first one.
        item: What becomes of each view.
    """

    def __init__(self, page: Callable[[str | None], Call[Page[View]]], item: Callable[[View], Item]) -> None:
        self._page, self._item = page, item
        self._token: str | None = None
        self._is_over = False

    def more(self) -> Plan[list[Item] | None]:
        """Return the items of the next page; None behind the last."""
        if self._is_over:
            return None
        page = yield from ask(self._page(self._token))
        self._token = page.next_page_token
        self._is_over = self._token is None
        return [self._item(view) for view in page.items]


class News:
    """The events of a study, from the first one to its end.

    Args:
        study_id: Which study.
        after: Only what came after this sequence.
    """

    def __init__(self, study_id: int, after: int) -> None:
        self._study_id, self._after = study_id, after

    def more(self) -> Plan[list[EventView] | None]:
        """Return what is new, perhaps nothing yet; None once the study has ended and all is told."""
        # Asked first: whatever it says, its events are written by then.
        study = yield from ask(calls.study(self._study_id))
        news = yield from ask(calls.events(self._after, self._study_id))
        if news:
            self._after = news[-1].sequence
            return news
        if study.state not in ACTIVE_STATES:
            return None
        yield Pause(POLL_S)
        return []
