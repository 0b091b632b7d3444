"""Whether examples are scaled as a network's training data were: others get confident nonsense."""

import numpy as np
from numpy.typing import NDArray

from nas_service.preprocessing import LEAST_DEVIATION, Preprocessing

BATCH = 256
# Of the types that data sets are kept in.
WHOLE = ("uint8", "int16")
# In deviations of the training data from their mean, root mean square; about 1 is proper.
FAR = 3.0
# Where nothing but mean and deviation is known.
FAR_BY_MEAN = 10.0
# Of what the training data vary by. Any nearer scale could be that of quiet recordings or dark pictures.
LITTLE = 0.2
LITTLE_BY_MEAN = 0.1
# A few examples may well be all silent.
FEWEST = 5
FEWEST_BY_MEAN = 10


class InputScale:
    """Looks at examples, some at a time, and compares their numbers with those of the training data.

    Args:
        preprocessing: Of the network. One that normalises each example by itself takes any scale.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self._known = preprocessing
        self._examples = 0
        self._low, self._high = np.inf, -np.inf
        # Within one example.
        self._largest_deviation = 0.0
        self._has_fractions = False
        # Of numbers in deviations of the training data.
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def look(self, examples: NDArray[np.generic]) -> None:
        """Take examples (N, C, *S) into account."""
        if self._known.normalisation == "example":
            return
        # What is not finite is no question of scale.
        with np.errstate(all="ignore"):
            for start in range(0, len(examples), BATCH):
                self._add(examples[start : start + BATCH].astype(np.float32))

    def doubt(self) -> str | None:
        """Say in a line what speaks against these examples' scale; None where nothing does."""
        if not self._count:
            return None
        if self._is_far():
            return self._words("lie far outside")
        return self._words("vary far less than") if self._varies_little() else None

    def _add(self, examples: NDArray[np.float32]) -> None:
        self._examples += len(examples)
        self._low = min(self._low, float(examples.min()))
        self._high = max(self._high, float(examples.max()))
        deviations = examples.std(tuple(range(1, examples.ndim)), dtype=np.float64)
        self._largest_deviation = max(self._largest_deviation, float(deviations.max()))
        self._has_fractions = self._has_fractions or bool((examples != np.rint(examples)).any())
        # A channel of one value in training is infinitely far from any other.
        varying = np.array(self._known.deviation) > 2 * LEAST_DEVIATION
        known = self._known
        normalised = ((examples - known.column(known.mean)) / known.column(known.deviation))[:, varying]
        self._count += normalised.size
        self._sum += float(normalised.sum(dtype=np.float64))
        self._squares += float(np.square(normalised).sum(dtype=np.float64))

    def _is_far(self) -> bool:
        distance = float(np.sqrt(self._squares / self._count))
        lowest, highest = self._known.minimum, self._known.maximum
        if lowest is None or highest is None:
            return distance > FAR_BY_MEAN
        # An outlier may lie beyond the range of all others, a few numbers of another scale not alone.
        span = highest - lowest
        return (self._low < lowest - span or self._high > highest + span) and distance > FAR

    def _varies_little(self) -> bool:
        if not self._largest_deviation:
            return False
        quiet = self._known.quiet_deviation
        if quiet is not None:
            is_telling = self._examples >= FEWEST or self._is_of_unit_scale()
            return is_telling and self._largest_deviation < LITTLE * quiet
        # Recordings may all be quiet; so many pictures are hardly all dark.
        are_pictures = self._known.input_type == "uint8" and self._examples >= FEWEST_BY_MEAN
        variance = self._squares / self._count - (self._sum / self._count) ** 2
        return (are_pictures or self._is_of_unit_scale()) and variance < LITTLE_BY_MEAN**2

    def _is_of_unit_scale(self) -> bool:
        """Whether these are fractions from -1 to 1 where the data set has whole numbers."""
        has_whole = self._known.input_type in WHOLE
        return has_whole and self._has_fractions and self._low >= -1 and self._high <= 1

    def _words(self, how: str) -> str:
        mean, deviation = (_figures(each) for each in (self._known.mean, self._known.deviation))
        known = f"mean {mean}, deviation {deviation}"
        if self._known.minimum is not None and self._known.maximum is not None:
            known = f"{self._known.minimum:.6g} to {self._known.maximum:.6g}, {known}"
        return (
            f"these numbers ({self._low:.6g} to {self._high:.6g}) {how} those that the network was "
            f"trained on ({known}); scale them as in its data set, or the answers mean nothing"
        )


def _figures(values: tuple[float, ...]) -> str:
    return " / ".join(f"{value:.4g}" for value in values)
