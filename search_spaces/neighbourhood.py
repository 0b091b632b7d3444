"""The part of a space around one of its architectures: what a second, finer search would choose from.

Numbers keep their value and the next smaller and larger one that the space lists; names keep their value, and
lists of two stay whole. The depth stays as it is. What was not asked of the architecture (the groups of a
pool, say) keeps its whole range: it matters only where a neighbour brings it up.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

from search_spaces import fields
from search_spaces.families import resolve_space
from search_spaces.random_trial import Scalar
from search_spaces.ranges import FREE, BranchRange, StageRange
from search_spaces.space import SearchSpace, merge

Override = dict[str, Any]
Choice = TypeVar("Choice", bound=Hashable)


def neighbourhood(space: SearchSpace, params: Mapping[str, Scalar]) -> Override:
    """Return what to override in a space so that it is narrowed around one of its architectures.

    Args:
        space: The space that drew it.
        params: What it answered, as a trial keeps them.

    Example:
        >>> space = SearchSpace.from_dict({"depth": 1, "stage": {"branch": {"kernel": [3, 5, 7, 9]}}})
        >>> neighbourhood(space, {"stage1.branch1.kernel": 5})
        {'stage1': {'branch': {'kernel': [3, 5, 7]}}, 'depth': 1}
    """
    override: Override = {}
    depth = params.get("depth", space.depth[0])
    assert isinstance(depth, int), "a depth is a count"
    layouts: dict[str, list[Mapping[str, Scalar]]] = {}
    for number in range(1, depth + 1):
        stage, answers = space.stages[number - 1], _below(params, f"stage{number}")
        override[f"stage{number}"] = _stage(stage, answers)
        layout = answers.get("layout", stage.layout[0])
        if layout != FREE:
            layouts.setdefault(str(layout), []).append(_below(answers, str(layout)))
    known, written = space.stages[0].layouts, space.to_dict().get("layouts", {})
    narrowed = {
        name: _layout(known[name], written[name], drawn) for name, drawn in layouts.items() if name in known
    }
    tied = {name: nearest(choices, [params[name]]) for name, choices in space.tied.items() if name in params}
    parts = {"layouts": narrowed, "stage": tied, "head": _head(space, _below(params, "head"))}
    return {name: part for name, part in {**override, **parts}.items() if part} | {"depth": depth}


def around(space: str | Mapping[str, Any], params: Mapping[str, Scalar]) -> dict[str, Any]:
    """Return the space of a spec narrowed around one of its architectures, again as a spec writes it.

    Args:
        space: A family's name, a family with an override, or an inline space.
        params: What the architecture answered.

    Raises:
        SpaceError: The space is none.
    """
    override = neighbourhood(resolve_space(space), params)
    if isinstance(space, str):
        return {"family": space, "override": override}
    if "family" in space:
        return {**space, "override": merge(space.get("override", {}), override)}
    return merge(space, override)


def nearest(choices: tuple[Choice, ...], answers: Iterable[Choice]) -> Choice | list[Choice]:
    """Return the answers with their neighbours among the choices, in the choices' order; one alone is fixed.

    Example:
        >>> nearest((3, 5, 7, 9), [9]), nearest(("x1", "x1.5", "x2"), ["x1"])
        ([7, 9], ['x1', 'x1.5'])
        >>> nearest(("add", "concat", "weighted"), ["add"])
        'add'
    """
    sizes = {choice: size for choice in choices if (size := _size(choice)) is not None}
    ordered = sorted(choices, key=sizes.__getitem__) if len(sizes) == len(choices) else None
    kept: list[Choice] = []
    for answer in answers:
        if answer not in choices:
            # A later version of the space may offer other values.
            kept += choices
        elif len(choices) == 2:
            kept += choices
        elif ordered is None:
            kept.append(answer)
        else:
            place = ordered.index(answer)
            kept += ordered[max(0, place - 1) : place + 2]
    found = [choice for choice in choices if choice in kept]
    return found[0] if len(found) == 1 else found


def _stage(stage: StageRange, answers: Mapping[str, Scalar]) -> Override:
    narrowed: Override = {
        name: nearest(getattr(stage, name), [answers[name]])
        for name in ("layout", "branches", "fusion", "branch_width", "branch_activation", *stage.own_fields)
        if name in answers
    }
    branch = _branch(stage.branch, [_below(answers, f"branch{number}") for number in range(1, 5)])
    return narrowed | ({"branch": branch} if branch else {})


def _layout(
    branches: tuple[BranchRange, ...], written: list[Override], drawn: list[Mapping[str, Scalar]]
) -> list[Override]:
    """Narrow a layout around all that stages have drawn of it; what they did not draw stays as written."""
    return [
        fields_of | _branch(branch, [_below(answers, f"branch{number}") for answers in drawn])
        for number, (branch, fields_of) in enumerate(zip(branches, written, strict=True), start=1)
    ]


def _branch(branch: BranchRange, drawn: list[Mapping[str, Scalar]]) -> Override:
    asked = {name: [answers[name] for answers in drawn if name in answers] for name in branch.values}
    return {name: nearest(branch.values[name], answers) for name, answers in asked.items() if answers}


def _head(space: SearchSpace, answers: Mapping[str, Scalar]) -> Override:
    head = space.head
    narrowed: Override = {
        name: nearest(getattr(head, name), [answers[name]])
        for name in ("pool", "bins", "dense_layers", "dropout")
        if name in answers
    }
    widths: list[Any] = [answers[name] for name in ("dense1", "dense2") if name in answers]
    return narrowed | ({"dense_width": nearest(head.dense_width, widths)} if widths else {})


def _below(answers: Mapping[str, Scalar], name: str) -> dict[str, Scalar]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in answers.items() if key.startswith(prefix)}


def _size(choice: Any) -> float | None:
    """Return what orders a choice; None for a name."""
    if isinstance(choice, bool):
        return None
    if isinstance(choice, int | float):
        return float(choice)
    return fields.factor(choice) if fields.is_relative(choice) else None
