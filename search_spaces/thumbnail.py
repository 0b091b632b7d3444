"""A small picture of an architecture, to stand in a row with others."""

from collections.abc import Iterable

from search_spaces.architecture import Architecture, Branch, Stage
from search_spaces.drawing import CHARACTER_WIDTH, Canvas
from search_spaces.marks import FUSED, Marks
from search_spaces.operations import Operation
from search_spaces.wording import (
    CONNECTIONS,
    SHORT_NAMES,
    display_order,
    kernel,
    options,
    sides,
    summary,
    times,
)

WIDTH = 184
MARGIN = 2
GAP = 4
BOX, ROW = 30, 16
SIZE = 10.5
_POOLS = {"none": "", "max": "↓ max", "avg": "↓ avg", "stride": "↓ stride"}
_HEAD_POOLS = {"avg": "average", "max": "maximum", "flatten": "flatten"}
# A word of a stage and the fields that it tells.
Words = list[tuple[str, tuple[str, ...]]]


def small_svg(architecture: Architecture, marked: Iterable[str] = ()) -> str:
    """Return a picture some 180 pixels wide: kernels and channels of each branch, and a line of what follows.

    Args:
        architecture: What to draw.
        marked: JSON pointers of what gets a thick edge, such as those of `difference`.
    """
    marks = Marks(marked)
    canvas = Canvas(WIDTH)
    shape = f"input {times(architecture.input_shape)}"
    canvas.text(WIDTH / 2, 12, shape, size=SIZE, faint=True)
    y = 18.0
    for place, stage in enumerate(architecture.stages):
        y = _draw_stage(canvas, y, stage, marks, f"/stages/{place}")
        canvas.path(f"M{WIDTH / 2:g} {y:g}v6", "flow")
        y += 6
    y = _draw_head(canvas, y, architecture, is_marked=marks.touches("/head") or marks.covers("/classes"))
    return canvas.render(y + MARGIN, f"Network {architecture.hash[:8]}", summary(architecture))


def _draw_stage(canvas: Canvas, top: float, stage: Stage, marks: Marks, at: str) -> float:
    branches = stage.branches
    width = (WIDTH - 2 * MARGIN - GAP) / len(branches) - GAP
    height = max(len(branch.operations) for branch in branches) * (BOX + GAP)
    words = _words(stage)
    bottom = top + GAP + height + (ROW if words else 0)
    frame = WIDTH - 2 * MARGIN
    canvas.box(MARGIN, top, frame, bottom - top, "stage", fill=0.03, is_marked=marks.covers(at))
    for column, place in enumerate(display_order(stage.branches)):
        x = MARGIN + GAP + column * (width + GAP)
        branch = stage.branches[place]
        _draw_branch(canvas, x, top + GAP, width, branch, marks, f"{at}/branches/{place}")
    _draw_words(canvas, top + GAP + height, words, marks, at)
    return bottom


def _draw_branch(
    canvas: Canvas, x: float, y: float, width: float, branch: Branch, marks: Marks, at: str
) -> None:
    for step, operation in enumerate(branch.operations):
        top = y + step * (BOX + GAP)
        shade = min(0.3, 0.03 + 0.03 * max(sides(operation)))
        is_marked = marks.covers(f"{at}/{step}")
        canvas.box(
            x, top, width, BOX, f"operation {operation.kind}", fill=shade, radius=4, is_marked=is_marked
        )
        canvas.text(x + width / 2, top + 12, _title(operation), size=SIZE, room=width - 4, bold=True)
        canvas.text(x + width / 2, top + 25, _subtitle(operation), size=SIZE, room=width - 4)


def _draw_words(canvas: Canvas, y: float, words: Words, marks: Marks, at: str) -> None:
    """Draw a stage's words side by side; marked ones get a frame."""
    sizes = [len(text) * SIZE * CHARACTER_WIDTH + 8 for text, _ in words]
    scale = min(1.0, (WIDTH - 4 * MARGIN) / max(sum(sizes), 1.0))
    x = WIDTH / 2 - sum(sizes) * scale / 2
    for (text, names), size in zip(words, sizes, strict=True):
        room = size * scale
        if marks.covers_fields(at, names):
            canvas.box(x, y - 1, room, ROW - 2, "step", radius=4, is_marked=True)
        canvas.text(x + room / 2, y + 9.5, text, size=SIZE, room=room - 4)
        x += room


def _draw_head(canvas: Canvas, top: float, architecture: Architecture, *, is_marked: bool) -> float:
    head = architecture.head
    pool = f"{_HEAD_POOLS[head.pool]}{f' {head.bins}' if head.bins > 1 else ''}"
    text = " · ".join([pool, *map(str, head.dense), f"{architecture.classes} classes"])
    canvas.box(MARGIN, top, WIDTH - 2 * MARGIN, 20, "head", fill=0.05, radius=10, is_marked=is_marked)
    canvas.text(WIDTH / 2, top + 14, text, size=SIZE, room=WIDTH - 24)
    return top + 20


def _title(operation: Operation) -> str:
    return kernel(operation) or SHORT_NAMES.get(operation.kind) or operation.kind.replace("_", " ")


def _subtitle(operation: Operation) -> str:
    """Channels, kind where the title has the kernel, and the first option that is not at its default."""
    name = SHORT_NAMES.get(operation.kind, operation.kind.replace("_", " ")) if kernel(operation) else ""
    return " ".join(filter(None, [name, str(operation.channels), *options(operation, _OPTIONS)[:1]]))


_OPTIONS = {"groups": "g", "dilation": "d", "multiplier": "m", "ratio": "÷", "level_groups": "g"}


def _words(stage: Stage) -> Words:
    """Return what follows the branches in short words, each with the fields that it tells."""
    several = len(stage.branches) > 1
    fusion = stage.fusion.replace("_", " ") if several else ""
    is_projected = several and stage.fusion == "concat_project"
    # Elsewhere the channels stand in the branches.
    fused = (f"{fusion} {stage.channels}", FUSED) if is_projected else (fusion, ("fusion",))
    found: Words = [
        fused,
        (CONNECTIONS[stage.connection].strip(), ("connection",)),
        (f"se{stage.attention}" if stage.attention else "", ("attention",)),
        (f"self{stage.self_attention}" if stage.self_attention else "", ("self_attention",)),
        (_POOLS[stage.downsample], ("downsample", "pool_position")),
    ]
    if stage.norm != "batch":
        found.append((f"{stage.norm} norm" if stage.norm != "none" else "no norm", ("norm",)))
    if stage.activation != "relu" or stage.branch_activation:
        inner = " inside" if stage.branch_activation else ""
        found.append((f"{stage.activation.replace('_', ' ')}{inner}", ("activation", "branch_activation")))
    if stage.dropout:
        found.append((f"drop {stage.dropout:g}", ("dropout",)))
    return [(text, names) for text, names in found if text]
