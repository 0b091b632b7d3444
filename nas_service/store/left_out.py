"""What samplers left out before they proposed anything: it never became a row of its own."""

from collections import Counter

from sqlalchemy import Connection, Text, cast, select

from nas_service.store.models import TrialRow, table
from nas_service.trials import LEFT_OUT

TRIAL = table(TrialRow)


def count_left_out(connection: Connection, study_id: int) -> dict[str, int]:
    """Return how many candidates of a study were left out, the most frequent reason first.

    A reason is the metric of a limit, or a rule of the space in words; what breaks two counts for both. Reads
    all trials of the study.
    """
    # Most trials say nothing of it: the database looks through their texts faster than they are parsed here.
    tells = cast(TRIAL.c.attributes, Text).contains(f'"{LEFT_OUT}"')
    query = select(TRIAL.c.attributes).where(TRIAL.c.study_id == study_id, tells)
    total: Counter[str] = Counter()
    for attributes in connection.execute(query).scalars():
        said = attributes.get(LEFT_OUT)
        # Attributes are a worker's word, of whatever form.
        if isinstance(said, dict):
            total.update({name: count for name, count in said.items() if isinstance(count, int)})
    return dict(total.most_common())
