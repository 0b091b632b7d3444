"""Pictures of an architecture: SVG for pages, a table for terminals, one line for lists."""

from collections.abc import Iterable
from typing import NamedTuple

from search_spaces.architecture import Architecture, Branch, Stage
from search_spaces.cost import Cost, analyse
from search_spaces.drawing import CHARACTER_WIDTH, Canvas
from search_spaces.heat import Heat, HeatFigure
from search_spaces.marks import FUSED, STEP_FIELDS, Marks
from search_spaces.operations import Operation
from search_spaces.wording import (
    ACTIVATIONS,
    NAMES,
    after_add,
    before_add,
    displayed,
    head_steps,
    kernel,
    options,
    output_shape,
    part_cost,
    sides,
    summary,
    text,
    times,
)

__all__ = ["summary", "svg", "text"]

WIDTH = 480
MARGIN = 8
CENTRE = WIDTH / 2
# A lane right of the branches stays free for the residual line.
BRANCHES_LEFT, BRANCHES_RIGHT = 56, WIDTH - 56
LANE = WIDTH - 32
GAP = 10
CONNECTOR = 32
WIDEST_BRANCH = 150
LINE = 15
# Okabe and Ito's orange, which no kernel is shaded in.
HOT = "#e69f00"
FUSIONS = {
    "concat": "concatenate",
    "add": "add",
    "weighted": "weighted sum",
    "weighted_free": "freely weighted sum",
    "weighted_sigmoid": "gated sum",
    "selective": "selective sum",
}


class _Box(NamedTuple):
    """An operation as it is drawn."""

    name: str
    lines: list[str]
    tint: float
    color: str
    is_marked: bool


def svg(architecture: Architecture, *, heat: HeatFigure | None = None, marked: Iterable[str] = ()) -> str:
    """Return a self-contained picture, read from top to bottom.

    Input, a panel for every stage (branches side by side, fusion, what follows, residual line, cost) and the
    head; the maps' shapes stand between the panels. It has a natural size and a viewBox: let the page bound
    its width.

    Args:
        architecture: What to draw.
        heat: Colour each part by its share of this figure, and write that and its receptive field into it;
            otherwise larger kernels are darker.
        marked: JSON pointers of what gets a thick edge, such as those of `difference`.
    """
    cost = analyse(architecture)
    shares = Heat.of(architecture, cost, heat) if heat else None
    canvas = Canvas(WIDTH, Marks(marked))
    label = f"input {times(architecture.input_shape)}"
    y = _pill(canvas, 4, label, "input", is_marked=canvas.marks.covers("/input_shape"))
    channels = architecture.input_shape[0]
    for number, stage in enumerate(architecture.stages, start=1):
        canvas.arrow(CENTRE, y, y + CONNECTOR)
        y = _draw_stage(canvas, y + CONNECTOR, number, stage, cost, channels, shares)
        canvas.text(
            CENTRE + 10, y + 20, times(output_shape(cost, f"stage{number}")), anchor="start", faint=True
        )
        channels = stage.channels
    canvas.arrow(CENTRE, y, y + CONNECTOR)
    y = _draw_head(canvas, y + CONNECTOR, architecture, cost, shares)
    title = f"Architecture {architecture.hash[:8]}: {cost.params:,} parameters, {cost.macs:,} MACs"
    return canvas.render(y + 4, title, summary(architecture))


def _draw_stage(
    canvas: Canvas,
    top: float,
    number: int,
    stage: Stage,
    cost: Cost,
    channels: int,
    heat: Heat | None,
) -> float:
    at = f"/stages/{number - 1}"
    is_stepped = canvas.marks.covers_fields(at, STEP_FIELDS)
    has_line = stage.connection != "none"
    entry, fork = top + 34, top + 34 + (10 if has_line else 0)
    y = _draw_branches(canvas, fork, stage, f"stage{number}", heat)
    if len(stage.branches) > 1:
        fields = FUSED if stage.fusion == "concat_project" else FUSED[:1]
        is_marked = canvas.marks.covers_fields(at, fields)
        tint = _merge_tint(heat, number)
        y = _pill(canvas, y, _fusion(stage), "fusion", tint=tint, is_marked=is_marked)
    steps, last = before_add(stage), after_add(stage)
    if has_line:
        if stage.is_dense:
            # The map is activated before its input is put beside it.
            ends = 1 if last and last[0] == ACTIVATIONS[stage.activation] else 0
            steps, last = steps + last[:ends], last[ends:]
        if steps:
            y = _joined_pill(canvas, y, " → ".join(steps), is_marked=is_stepped)
        is_marked = canvas.marks.covers(f"{at}/connection")
        y = _draw_shortcut(canvas, entry, y, stage, channels, is_marked=is_marked)
        steps = []
    if steps + last:
        y = _joined_pill(canvas, y, " → ".join(steps + last), is_marked=is_stepped)
    bottom = y + 12
    canvas.path(f"M{CENTRE:g} {y:g}V{bottom:g}", "flow")
    figures = part_cost(cost, f"stage{number}")
    is_marked = canvas.marks.covers(at)
    _panel(canvas, top, bottom, f"Stage {number}", figures, "stage", is_marked=is_marked)
    canvas.path(f"M{CENTRE:g} {top:g}V{fork:g}", "flow")
    return bottom


def _draw_branches(canvas: Canvas, fork: float, stage: Stage, name: str, heat: Heat | None) -> float:
    branches = displayed(stage.branches)
    names = _names(name, stage, branches)
    inner = BRANCHES_RIGHT - BRANCHES_LEFT + GAP
    width = min(WIDEST_BRANCH, inner / len(branches) - GAP)
    first = CENTRE - (len(branches) - 1) / 2 * (width + GAP)
    labels = [_labels(branch, stage, below, heat) for branch, below in zip(branches, names, strict=True)]
    heights = [_branch_height(lines) for lines in labels]
    top, bottom = fork + 16, fork + 16 + max(heights)
    for index, (branch, height) in enumerate(zip(branches, heights, strict=True)):
        x = first + index * (width + GAP)
        start = top + (max(heights) - height) / 2
        canvas.path(f"M{CENTRE:g} {fork:g}H{x:g}V{start:g}", "flow")
        boxes = _boxes(branch, labels[index], names[index], heat, canvas.marks)
        end = _draw_branch(canvas, x, start, width, boxes)
        canvas.path(f"M{x:g} {end:g}V{bottom + 14:g}H{CENTRE:g}", "flow")
    if len(branches) == 1:
        return bottom + 14
    canvas.path(f"M{CENTRE:g} {bottom + 14:g}v10", "flow")
    return bottom + 24


def _draw_branch(canvas: Canvas, x: float, y: float, width: float, boxes: list[_Box]) -> float:
    for number, box in enumerate(boxes):
        if number:
            canvas.path(f"M{x:g} {y:g}v{GAP}", "flow")
            y += GAP
        height = _box_height(box.lines)
        canvas.box(
            x - width / 2,
            y,
            width,
            height,
            box.name,
            fill=box.tint,
            color=box.color,
            is_marked=box.is_marked,
        )
        canvas.text(x, y + 20, box.lines[0], size=14, room=width - 8, bold=True)
        for line, label in enumerate(box.lines[1:], start=1):
            canvas.text(x, y + 20 + line * LINE, label, size=11.5, room=width - 8)
        y += height
    return y


def _shortcut_labels(stage: Stage, channels: int) -> list[str]:
    """Return what stands on the line around the branches."""
    labels = ["from"] if stage.connection == "across" else []
    labels += ["before"] if stage.connection == "across" else []
    labels += ["pool"] if stage.pools_first else []
    if not stage.is_dense and (stage.downsample == "stride" or stage.channels != channels):
        labels.append("1×1")
    return labels + (["weight"] if stage.connection == "weighted" else [])


def _draw_shortcut(
    canvas: Canvas, entry: float, y: float, stage: Stage, channels: int, *, is_marked: bool
) -> float:
    """Draw the line from the entry around the branches into a ring; return the ring's bottom."""
    ring = y + 16
    labels = _shortcut_labels(stage, channels)
    middle, half = (entry + ring) / 2, len(labels) * 8 + (3 if labels else 0)
    canvas.path(f"M{CENTRE:g} {entry:g}H{LANE:g}V{middle - half:g}", "residual")
    canvas.path(f"M{LANE:g} {middle + half:g}V{ring:g}H{CENTRE + 7:g}", "residual")
    if labels:
        canvas.box(LANE - 21, middle - half, 42, 2 * half, "residual", fill=0.05)
    for line, label in enumerate(labels):
        canvas.text(LANE, middle - half + 15 + 16 * line, label, size=11.5)
    canvas.path(f"M{CENTRE:g} {y:g}V{ring - 7:g}", "flow")
    canvas.circle(CENTRE, ring, 7, "residual", is_marked=is_marked)
    # A plus where the input is added, two bars where it is put beside; both for dual paths.
    plus, bars = (
        f"M{CENTRE - 4:g} {ring:g}h8M{CENTRE:g} {ring - 4:g}v8",
        f"M{CENTRE - 2:g} {ring - 4:g}v8m4 0v-8",
    )
    shown = {"dense": bars, "dual_path": f"{bars}M{CENTRE - 5:g} {ring:g}h10"}.get(stage.connection, plus)
    canvas.path(shown, "residual")
    return ring + 7


def _draw_head(
    canvas: Canvas, top: float, architecture: Architecture, cost: Cost, heat: Heat | None
) -> float:
    steps = head_steps(architecture)
    canvas.path(f"M{CENTRE:g} {top:g}v34", "flow")
    tint = heat.tint("head.") if heat else None
    is_marked = canvas.marks.touches("/head") or canvas.marks.covers("/classes")
    y = _pill(canvas, top + 34, " → ".join(steps), "step", tint=tint, is_marked=is_marked)
    _panel(canvas, top, y + 12, "Head", part_cost(cost, "head"), "head")
    return y + 12


def _panel(
    canvas: Canvas,
    top: float,
    bottom: float,
    label: str,
    cost: tuple[int, int],
    name: str,
    *,
    is_marked: bool = False,
) -> None:
    canvas.box(MARGIN, top, WIDTH - 2 * MARGIN, bottom - top, name, fill=0.03, radius=10, is_marked=is_marked)
    canvas.text(MARGIN + 14, top + 21, label, size=13, anchor="start", bold=True)
    figures = f"{_rounded(cost[0])} params · {_rounded(cost[1])} MACs"
    canvas.text(WIDTH - MARGIN - 14, top + 21, figures, anchor="end", faint=True)


def _joined_pill(canvas: Canvas, y: float, label: str, *, is_marked: bool) -> float:
    canvas.path(f"M{CENTRE:g} {y:g}v12", "flow")
    return _pill(canvas, y + 12, label, "step", is_marked=is_marked)


def _pill(
    canvas: Canvas, y: float, label: str, name: str, *, tint: float | None = None, is_marked: bool = False
) -> float:
    width = min(WIDTH - 4 * MARGIN, max(80, len(label) * 12 * CHARACTER_WIDTH + 24))
    fill, color = (0.05, "currentColor") if tint is None else (tint, HOT)
    canvas.box(CENTRE - width / 2, y, width, 26, name, fill=fill, radius=13, color=color, is_marked=is_marked)
    canvas.text(CENTRE, y + 17.5, label, room=width - 16)
    return y + 26


def _names(name: str, stage: Stage, branches: list[Branch]) -> list[str]:
    """Return the branches' names in the graph, which numbers them as the stage does."""
    left = list(enumerate(stage.branches, start=1))
    found = []
    for branch in branches:
        # Equal branches are told apart by nothing but their number.
        place = next(place for place in left if place[1] is branch or place[1] == branch)
        left.remove(place)
        found.append(f"{name}.branch{place[0]}")
    return found


def _pointer(name: str) -> str:
    """Return the JSON pointer to a branch by its name in the graph, such as stage1.branch2."""
    stage, branch = (int(part.strip("stagebrnch")) - 1 for part in name.split("."))
    return f"/stages/{stage}/branches/{branch}"


def _labels(branch: Branch, stage: Stage, name: str, heat: Heat | None) -> list[list[str]]:
    """Return the lines in the box of each operation."""
    strided = branch.strided if stage.downsample == "stride" else 0
    last = len(branch.operations)
    return [
        _lines(operation, stage, strides=number == strided)
        + (heat.words(name, f"{operation.kind}{number}", is_last=number == last) if heat else [])
        for number, operation in enumerate(branch.operations, start=1)
    ]


def _boxes(branch: Branch, labels: list[list[str]], name: str, heat: Heat | None, marks: Marks) -> list[_Box]:
    boxes = []
    for number, (operation, lines) in enumerate(zip(branch.operations, labels, strict=True), start=1):
        kind = f"operation {operation.kind}"
        is_marked = marks.covers(f"{_pointer(name)}/{number - 1}")
        if heat:
            tint = heat.tint(f"{name}.{operation.kind}{number}")
            boxes.append(_Box(kind, lines, tint, HOT, is_marked))
        else:
            boxes.append(_Box(kind, lines, _shade(operation), "currentColor", is_marked))
    return boxes


def _merge_tint(heat: Heat | None, number: int) -> float | None:
    """Return the tint of what brings the branches of a stage together."""
    return heat.tint(f"stage{number}.project") if heat else None


def _lines(operation: Operation, stage: Stage, *, strides: bool) -> list[str]:
    size = kernel(operation)
    lines = [f"{size} → {operation.channels}" if size else f"→ {operation.channels}"]
    lines.append(NAMES.get(operation.kind, operation.kind.replace("_", " ")))
    lines += options(operation)
    if strides:
        lines.append("stride 2")
    if stage.branch_activation:
        lines.append(("norm, " if stage.norm != "none" else "") + ACTIVATIONS[stage.activation])
    return lines


def _branch_height(labels: list[list[str]]) -> float:
    heights = [_box_height(lines) for lines in labels]
    return sum(heights) + GAP * (len(heights) - 1)


def _box_height(lines: list[str]) -> float:
    return 14 + LINE * len(lines)


def _shade(operation: Operation) -> float:
    """Larger kernels are darker."""
    return min(0.3, 0.03 + 0.03 * max(sides(operation)))


def _fusion(stage: Stage) -> str:
    if stage.fusion == "concat_project":
        return f"concatenate, 1×1 → {stage.channels}"
    return FUSIONS[stage.fusion]


def _rounded(count: int) -> str:
    """A count with three figures: 1,234, 56.7 k, 8.90 M."""
    if count < 10_000:
        return f"{count:,}"
    value, unit = (count / 1e3, "k") if count < 999_500 else (count / 1e6, "M")
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
