"""All trials of a study for a plot that is redrawn every second: what has ended is read once."""

from collections import OrderedDict
from threading import Lock
from weakref import WeakKeyDictionary

from nas_service.service import Service
from nas_service.trials import TERMINAL_STATES
from nas_service.views import Page, StudyView, TrialSummary

PAGE_SIZE = 500
# Some fifty megabytes a service; a study beyond it is read again from there on.
MOST_PAGES = 60

# A study's creation is part of the key: the database may give the id of a deleted one again.
_Key = tuple[int, str, str | None, int]
_pages: WeakKeyDictionary[Service, OrderedDict[_Key, Page[TrialSummary]]] = WeakKeyDictionary()
_lock = Lock()


def all_trials(service: Service, study: StudyView, *, page_size: int = PAGE_SIZE) -> list[TrialSummary]:
    """Return the study's trials by number. `is_on_front` may be out of date: ask `Service.front` for that."""
    trials: list[TrialSummary] = []
    token: str | None = None
    while True:
        page = _page(service, study, token, page_size)
        trials += page.items
        token = page.next_page_token
        if token is None:
            return trials


def _page(service: Service, study: StudyView, token: str | None, size: int) -> Page[TrialSummary]:
    key = (study.study, study.created_at.isoformat(), token, size)
    with _lock:
        kept = _pages.setdefault(service, OrderedDict())
        if key in kept:
            kept.move_to_end(key)
            return kept[key]
    page = service.trials(study.study, order_by="number", page_size=size, page_token=token)
    # Numbers have no holes and rows are never taken away, so a full page of ended trials stays as it is.
    if page.next_page_token and all(trial.state in TERMINAL_STATES for trial in page.items):
        with _lock:
            kept[key] = page
            while len(kept) > MOST_PAGES:
                kept.popitem(last=False)
    return page
