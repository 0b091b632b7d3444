"""The kernels: 2x2 maximum pooling, batch normalisation and activation of maps with channels last.

A map (B, H, W, C) is memory seen as rows of C channels, in fp32 or bfloat16. Everything is computed in fp32,
whatever type the maps have; what is no number stays none.

Compilers do not vectorise loops over a few channels well: they would ask before each whether arrays overlap.
So the innermost loops are built of vectors of some channels, their lanes. Where a row's channels do not come
in so many, the last vector overlaps the one before: what is computed twice is stored twice.

Each function returns a kernel that takes addresses, then the map's size in rows or lines (`passes`).
"""

from collections.abc import Callable
from functools import cache

from search_spaces.layers.pointwise import LEAKY_SLOPE
from workers.training.fused.cpu.compiling import Kernel, Size
from workers.training.fused.cpu.passes import LINES, ROWS, Pass
from workers.training.fused.cpu.vectors import Lanes, Vector

# A row is passed at once where it can be, so that memory is read in its order; the four corners of a window
# fill the registers sooner.
WIDEST_ROW, WIDEST_WINDOW = 64, 16
# Activations that need no power, which torch computes faster than LLVM does.
FUNCTIONS = ("none", "relu", "leaky_relu", "hard_swish")


def lanes_of(channels: int, widest: int) -> int:
    """Return how many channels are computed at once: a power of two."""
    return min(widest, 1 << (channels.bit_length() - 1))


@cache
def pool(is_bf16: bool, lanes: int, is_summed: bool) -> Kernel:
    """Of x, pooled y, argmax, first, sums, partial: pool; sum up results, less `first`, and their squares.

    Where nothing is summed, the last three are left out.
    """
    summing = ("first", "sums", "partial") if is_summed else ()
    made = Pass(("x", "y", "argmax", *summing), LINES, is_bf16=is_bf16, lanes=lanes)
    of = made.lanes
    with made.lines() as line:
        shift, totals = made.numbers("first", line.channel, len(summing) // 3), of.zeros(2)
        with line.each() as (index, corners):
            largest, number = of.load(made["x"], corners[0]), of.byte(0)
            for other_number, corner in list(enumerate(corners))[1:]:
                other = of.load(made["x"], corner)
                # Of equals the first; what is no number is larger than all.
                is_larger = other.exceeds(largest)
                largest = other.where(is_larger, largest)
                number = of.byte(other_number).where(is_larger, number)
            of.store(made["y"], index, largest)
            of.store(made["argmax"], index, number)
            if shift:
                centred = largest - shift[0]
                of.add(totals, centred, centred * centred)
        if shift:
            made.leave(line.channel, totals)
    return made.compiled()


@cache
def sum_up(is_bf16: bool, lanes: int) -> Kernel:
    """Of x, first, sums, partial: sum up rows, less `first`, and their squares."""
    made = Pass(("x", "first", "sums", "partial"), ROWS, is_bf16=is_bf16, lanes=lanes)
    of = made.lanes
    with made.blocks() as rows:
        (shift,), totals = made.numbers("first", rows.channel, 1), of.zeros(2)
        with rows.each() as index:
            centred = of.load(made["x"], index) - shift
            of.add(totals, centred, centred * centred)
        made.leave(rows.channel, totals)
    return made.compiled()


@cache
def normalise(is_bf16: bool, lanes: int, function: str) -> Kernel:
    """Of x, y, vectors (mean, factor, shift): normalise, scale and activate rows."""
    made = Pass(("x", "y", "vectors"), ROWS, is_bf16=is_bf16, lanes=lanes)
    of = made.lanes
    with made.blocks() as rows:
        mean, factor, shift = made.numbers("vectors", rows.channel, 3)
        with rows.each() as index:
            z = (of.load(made["x"], index) - mean) * factor + shift
            of.store(made["y"], index, _activated(of, z, function)[0])
    return made.compiled()


@cache
def sum_gradients(is_bf16: bool, lanes: int, function: str) -> Kernel:
    """Of x, gradient, vectors (mean, factor, shift), sums, partial: sum up gradients before the activation.

    The second sums are of each times its centred value.
    """
    made = Pass(("x", "gradient", "vectors", "sums", "partial"), ROWS, is_bf16=is_bf16, lanes=lanes)
    of = made.lanes
    with made.blocks() as rows:
        (mean, factor, shift), totals = made.numbers("vectors", rows.channel, 3), of.zeros(2)
        with rows.each() as index:
            centred = of.load(made["x"], index) - mean
            slope = _activated(of, centred * factor + shift, function)[1]
            of_z = of.load(made["gradient"], index) * slope
            of.add(totals, of_z, of_z * centred)
        made.leave(rows.channel, totals)
    return made.compiled()


@cache
def input_gradient(is_bf16: bool, lanes: int, function: str) -> Kernel:
    """Of gradient, of_x, x, vectors (as of `_gradients`): write the gradient of what was normalised."""
    made = Pass(("gradient", "of_x", "x", "vectors"), ROWS, is_bf16=is_bf16, lanes=lanes)
    with made.blocks() as rows:
        gradient_at = _gradients(made, rows.channel, function)
        with rows.each() as index:
            made.lanes.store(made["of_x"], index, gradient_at(index))
    return made.compiled()


@cache
def unpool(is_bf16: bool, lanes: int, function: str, is_normalised: bool) -> Kernel:
    """Of gradient, argmax, of_x, pooled x, vectors: of a window only its largest corner has a gradient.

    Where nothing was normalised, the last two are left out.
    """
    normalised = ("x", "vectors") if is_normalised else ()
    made = Pass(("gradient", "argmax", "of_x", *normalised), LINES, is_bf16=is_bf16, lanes=lanes)
    of = made.lanes
    with made.lines() as line:
        gradient_at = _gradients(made, line.channel, function) if is_normalised else None
        with line.each() as (index, corners):
            of_pooled = gradient_at(index) if gradient_at else of.load(made["gradient"], index)
            largest = of.load(made["argmax"], index)
            for number, corner in enumerate(corners):
                of.store(
                    made["of_x"], corner, of_pooled.where(largest.equals(of.byte(number)), of.number(0.0))
                )
    return made.compiled()


def _activated(of: Lanes, z: Vector, function: str) -> tuple[Vector, Vector]:
    """Return an activation and its derivative."""
    zero, one = of.number(0.0), of.number(1.0)
    if function == "none":
        return z, one
    if function == "hard_swish":
        three, half = of.number(3.0), of.number(0.5)
        gate = one.where(z > three, (z * of.number(1 / 6) + half).where(z > zero - three, zero))
        slope = one.where(z > three, (z * of.number(1 / 3) + half).where(z > zero - three, zero))
        return z * gate, slope
    slope = one.where(z > zero, zero if function == "relu" else of.number(LEAKY_SLOPE))
    return z * slope, slope


def _gradients(made: Pass, channel: Size, function: str) -> Callable[[Size], Vector]:
    """Return what gives, at an index, the gradient of what was normalised (arXiv:1502.03167, section 3).

    Vectors are mean, factor, shift, and the means of the scaled map's gradient and of its products with the
    normalised values, over the deviation.
    """
    mean, factor, shift, of_mean, of_product = made.numbers("vectors", channel, 5)
    of = made.lanes

    def gradient_at(index: Size) -> Vector:
        centred = of.load(made["x"], index) - mean
        slope = _activated(of, centred * factor + shift, function)[1]
        return factor * (of.load(made["gradient"], index) * slope - of_mean - centred * of_product)

    return gradient_at
