"""The families: one file each, a search space with its source and default ranges.

`resolve_space` turns what a study's spec says into a space.
"""

from collections.abc import Mapping
from typing import Any

from search_spaces import fields
from search_spaces.errors import SpaceError
from search_spaces.families import (
    bottleneck,
    deformable,
    dense,
    dilated,
    dual_path,
    igc,
    inception,
    multi_scale,
    pyramidal,
    pyramidal_hg,
    shuffle,
    two_conv,
    two_conv_block,
    two_conv_db,
    two_conv_dense,
    two_conv_dw,
    two_conv_residual,
    two_conv_se,
    xception,
)
from search_spaces.families.family import Family
from search_spaces.space import SearchSpace

__all__ = ["Family", "get", "names", "resolve_space"]

# The default one first, then the 2conv networks, then the others.
_MODULES = (
    multi_scale,
    two_conv,
    two_conv_block,
    two_conv_db,
    two_conv_dense,
    two_conv_dw,
    two_conv_residual,
    two_conv_se,
    pyramidal,
    pyramidal_hg,
    inception,
    bottleneck,
    xception,
    shuffle,
    igc,
    dense,
    dual_path,
    dilated,
    deformable,
)
_FAMILIES: dict[str, Family] = {module.FAMILY.name: module.FAMILY for module in _MODULES}


def names() -> list[str]:
    """Return the families' names; the default one comes first."""
    return list(_FAMILIES)


def get(name: str) -> Family:
    """Return the family of that name.

    Raises:
        SpaceError: There is none.
    """
    return _found(name, "")


def resolve_space(space: str | Mapping[str, Any]) -> SearchSpace:
    """Return the space that a spec means.

    Args:
        space: A family's name, `{"family": name, "override": {...}}`, or an inline space.

    Raises:
        SpaceError: Names the field, its value and what is allowed; carries a JSON pointer.

    Example:
        >>> resolve_space({"family": "two_conv", "override": {"depth": 2}}).depth
        (2,)
    """
    if isinstance(space, str):
        return get(space).space
    if not isinstance(space, Mapping):
        raise SpaceError(f"a space is a family's name or a mapping, not {type(space).__name__}")
    if "family" not in space:
        return SearchSpace.from_dict(space)
    fields.as_mapping(space, ("family", "override"), "")
    family = _found(space["family"], "/family")
    return _overridden(family, space.get("override", {}))


def _found(name: object, pointer: str) -> Family:
    if not isinstance(name, str) or name not in _FAMILIES:
        raise fields.unknown(name, names(), pointer, what="family")
    return _FAMILIES[name]


def _overridden(family: Family, override: object) -> SearchSpace:
    try:
        return family.space.with_override(override)
    except SpaceError as error:
        raise SpaceError(str(error), pointer=f"/override{error.pointer}") from None
