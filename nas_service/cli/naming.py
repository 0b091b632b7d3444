"""Which study a command means."""

from nas_service.cli.backend import Backend
from nas_service.cli.output import say
from nas_service.views import StudyView

# Others of the same name that are listed by number.
MOST_TOLD = 10
# Studies whose names only hold the text are among those that are looked at.
MOST_LOOKED_AT = 500


def named_study(backend: Backend, id_or_name: str) -> StudyView:
    """Return the study of a number, or the newest of a name, and say so where others have that name.

    Raises:
        NotFound: There is none.
    """
    found = backend.find_study(id_or_name)
    if id_or_name == str(found.study):
        return found
    alike = backend.studies(name=id_or_name, page_size=MOST_LOOKED_AT).items
    others = [str(one.study) for one in alike if one.name == found.name and one.study != found.study]
    if others:
        more = ", ..." if len(others) > MOST_TOLD else ""
        numbers = ", ".join(others[:MOST_TOLD]) + more
        newest = f"the newest of {1 + len(others)} named {found.name!r}"
        say(f"study {found.study} is meant, {newest}; the others: {numbers}")
    return found
