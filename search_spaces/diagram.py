"""Pictures of an architecture: SVG for pages, a table for terminals, one line for lists."""

from search_spaces.architecture import Architecture, Branch, Stage
from search_spaces.cost import Cost, analyse
from search_spaces.drawing import CHARACTER_WIDTH, Canvas
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
FUSIONS = {
    "concat": "concatenate",
    "add": "add",
    "weighted": "weighted sum",
    "weighted_free": "freely weighted sum",
    "weighted_sigmoid": "gated sum",
    "selective": "selective sum",
}


def svg(architecture: Architecture) -> str:
    """Return a self-contained picture, read from top to bottom.

    Input, a panel for every stage (branches side by side, fusion, what follows, residual line, cost) and the
    head; the maps' shapes stand between the panels. It has a natural size and a viewBox: let the page bound
    its width.
    """
    cost = analyse(architecture)
    canvas = Canvas(WIDTH)
    y = _pill(canvas, 4, f"input {times(architecture.input_shape)}", "input")
    channels = architecture.input_shape[0]
    for number, stage in enumerate(architecture.stages, start=1):
        canvas.arrow(CENTRE, y, y + CONNECTOR)
        y = _draw_stage(canvas, y + CONNECTOR, number, stage, cost, channels)
        canvas.text(
            CENTRE + 10, y + 20, times(output_shape(cost, f"stage{number}")), anchor="start", faint=True
        )
        channels = stage.channels
    canvas.arrow(CENTRE, y, y + CONNECTOR)
    y = _draw_head(canvas, y + CONNECTOR, architecture, cost)
    title = f"Architecture {architecture.hash[:8]}: {cost.params:,} parameters, {cost.macs:,} MACs"
    return canvas.render(y + 4, title, summary(architecture))


def _draw_stage(canvas: Canvas, top: float, number: int, stage: Stage, cost: Cost, channels: int) -> float:
    has_line = stage.connection != "none"
    entry, fork = top + 34, top + 34 + (10 if has_line else 0)
    y = _draw_branches(canvas, fork, stage)
    if len(stage.branches) > 1:
        y = _pill(canvas, y, _fusion(stage), "fusion")
    steps, last = before_add(stage), after_add(stage)
    if has_line:
        if stage.is_dense:
            # The map is activated before its input is put beside it.
            ends = 1 if last and last[0] == ACTIVATIONS[stage.activation] else 0
            steps, last = steps + last[:ends], last[ends:]
        if steps:
            y = _joined_pill(canvas, y, " → ".join(steps))
        y = _draw_shortcut(canvas, entry, y, stage, channels)
        steps = []
    if steps + last:
        y = _joined_pill(canvas, y, " → ".join(steps + last))
    bottom = y + 12
    canvas.path(f"M{CENTRE:g} {y:g}V{bottom:g}", "flow")
    _panel(canvas, top, bottom, f"Stage {number}", part_cost(cost, f"stage{number}"), "stage")
    canvas.path(f"M{CENTRE:g} {top:g}V{fork:g}", "flow")
    return bottom


def _draw_branches(canvas: Canvas, fork: float, stage: Stage) -> float:
    branches = displayed(stage.branches)
    inner = BRANCHES_RIGHT - BRANCHES_LEFT + GAP
    width = min(WIDEST_BRANCH, inner / len(branches) - GAP)
    first = CENTRE - (len(branches) - 1) / 2 * (width + GAP)
    heights = [_branch_height(branch, stage) for branch in branches]
    top, bottom = fork + 16, fork + 16 + max(heights)
    for index, (branch, height) in enumerate(zip(branches, heights, strict=True)):
        x = first + index * (width + GAP)
        start = top + (max(heights) - height) / 2
        canvas.path(f"M{CENTRE:g} {fork:g}H{x:g}V{start:g}", "flow")
        end = _draw_branch(canvas, x, start, width, branch, stage)
        canvas.path(f"M{x:g} {end:g}V{bottom + 14:g}H{CENTRE:g}", "flow")
    if len(branches) == 1:
        return bottom + 14
    canvas.path(f"M{CENTRE:g} {bottom + 14:g}v10", "flow")
    return bottom + 24


def _draw_branch(canvas: Canvas, x: float, y: float, width: float, branch: Branch, stage: Stage) -> float:
    for number, (operation, lines) in enumerate(zip(branch.operations, _labels(branch, stage), strict=True)):
        if number:
            canvas.path(f"M{x:g} {y:g}v{GAP}", "flow")
            y += GAP
        height = _box_height(lines)
        canvas.box(x - width / 2, y, width, height, f"operation {operation.kind}", fill=_shade(operation))
        canvas.text(x, y + 20, lines[0], size=14, room=width - 8, bold=True)
        for line, label in enumerate(lines[1:], start=1):
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


def _draw_shortcut(canvas: Canvas, entry: float, y: float, stage: Stage, channels: int) -> float:
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
    canvas.circle(CENTRE, ring, 7, "residual")
    # A plus where the input is added, two bars where it is put beside; both for dual paths.
    plus, bars = (
        f"M{CENTRE - 4:g} {ring:g}h8M{CENTRE:g} {ring - 4:g}v8",
        f"M{CENTRE - 2:g} {ring - 4:g}v8m4 0v-8",
    )
    shown = {"dense": bars, "dual_path": f"{bars}M{CENTRE - 5:g} {ring:g}h10"}.get(stage.connection, plus)
    canvas.path(shown, "residual")
    return ring + 7


def _draw_head(canvas: Canvas, top: float, architecture: Architecture, cost: Cost) -> float:
    steps = head_steps(architecture)
    canvas.path(f"M{CENTRE:g} {top:g}v34", "flow")
    y = _pill(canvas, top + 34, " → ".join(steps), "step")
    _panel(canvas, top, y + 12, "Head", part_cost(cost, "head"), "head")
    return y + 12


def _panel(canvas: Canvas, top: float, bottom: float, label: str, cost: tuple[int, int], name: str) -> None:
    canvas.box(MARGIN, top, WIDTH - 2 * MARGIN, bottom - top, name, fill=0.03, radius=10)
    canvas.text(MARGIN + 14, top + 21, label, size=13, anchor="start", bold=True)
    figures = f"{_rounded(cost[0])} params · {_rounded(cost[1])} MACs"
    canvas.text(WIDTH - MARGIN - 14, top + 21, figures, anchor="end", faint=True)


def _joined_pill(canvas: Canvas, y: float, label: str) -> float:
    canvas.path(f"M{CENTRE:g} {y:g}v12", "flow")
    return _pill(canvas, y + 12, label, "step")


def _pill(canvas: Canvas, y: float, label: str, name: str) -> float:
    width = min(WIDTH - 4 * MARGIN, max(80, len(label) * 12 * CHARACTER_WIDTH + 24))
    canvas.box(CENTRE - width / 2, y, width, 26, name, fill=0.05, radius=13)
    canvas.text(CENTRE, y + 17.5, label, room=width - 16)
    return y + 26


def _labels(branch: Branch, stage: Stage) -> list[list[str]]:
    """Return the lines in the box of each operation."""
    strided = branch.strided if stage.downsample == "stride" else 0
    return [
        _lines(operation, stage, strides=number == strided)
        for number, operation in enumerate(branch.operations, start=1)
    ]


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


def _branch_height(branch: Branch, stage: Stage) -> float:
    heights = [_box_height(lines) for lines in _labels(branch, stage)]
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
