"""A network for other data than it was found for."""

from collections.abc import Mapping
from typing import Any

from nas_service.errors import FieldError, InvalidInput
from search_spaces import Architecture, SearchSpaceError


def fitted(architecture: Mapping[str, Any], input_shape: tuple[int, ...], classes: int) -> Architecture:
    """Return the same stages with another input and as many answers as there are classes.

    Raises:
        InvalidInput: It cannot take examples of that shape; says why.
    """
    known = architecture["input_shape"]
    if len(known) != len(input_shape):
        message = f"its examples are {list(input_shape)}; the network takes {len(known) - 1} spatial axes"
        raise InvalidInput(FieldError("/dataset", message))
    try:
        return Architecture.from_dict({**architecture, "input_shape": list(input_shape), "classes": classes})
    except SearchSpaceError as error:
        raise InvalidInput(FieldError("/dataset", f"the network does not fit: {error}")) from error
