"""Specs of studies, checked once for each text that the database holds."""

from functools import lru_cache

from sqlalchemy import Connection, Text, bindparam, cast, select

from nas_service.store.models import StudyRow, table
from nas_service.studies import StudySpec

STUDY = table(StudyRow)
_TEXT = select(cast(STUDY.c.spec, Text)).where(STUDY.c.id == bindparam("study"))


def read_spec(connection: Connection, study_id: int) -> StudySpec:
    """Return the spec of a study that is there."""
    return spec_of(connection.execute(_TEXT, {"study": study_id}).scalar_one())


@lru_cache(maxsize=256)
def spec_of(text: str) -> StudySpec:
    """Return the spec that a column's text holds."""
    return StudySpec.model_validate_json(text)
