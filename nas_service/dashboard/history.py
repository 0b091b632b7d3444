"""Trials of a plot that is redrawn every second: what has ended is read once."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from nas_service.service import Service
from nas_service.trials import TERMINAL_STATES
from nas_service.views import StudyView, TrialSummary

# Some two kilobytes a trial; a plot has two thousand of them.
MOST_STUDIES = 16
MOST_TRIALS = 10_000

# A study's creation is part of the key, for the database may give the id of a deleted one again; and so is
# the version of its space, which decides what is excluded.
_Key = tuple[int, str, int]
_Trials = dict[int, TrialSummary]
_kept: WeakKeyDictionary[Service, OrderedDict[_Key, _Trials]] = WeakKeyDictionary()
_lock = Lock()


def trials_of(service: Service, study: StudyView, numbers: Sequence[int]) -> list[TrialSummary]:
    """Return a study's trials of some numbers; `is_on_front` may be out of date: ask `Service.front`."""
    kept = _kept_of(service, study)
    known = {number: kept[number] for number in numbers if number in kept}
    missing = [number for number in numbers if number not in known]
    read = {trial.number: trial for trial in service.trials_of(study.study, missing)}
    with _lock:
        kept |= {number: trial for number, trial in read.items() if trial.state in TERMINAL_STATES}
        while len(kept) > MOST_TRIALS:
            del kept[next(iter(kept))]
    known |= read
    return [known[number] for number in numbers if number in known]


def _kept_of(service: Service, study: StudyView) -> _Trials:
    key = (study.study, study.created_at.isoformat(), study.space_version)
    with _lock:
        studies = _kept.setdefault(service, OrderedDict())
        kept = studies.setdefault(key, {})
        studies.move_to_end(key)
        while len(studies) > MOST_STUDIES:
            studies.popitem(last=False)
        return kept
