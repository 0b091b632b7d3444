"""Triton kernels: 2x2 maximum pooling, batch normalisation and activation of maps with channels last.

A map (B, H, W, C) is seen as rows of C channels. A program takes a tile of rows and channels at a time; where
a pass needs sums over all rows, every program leaves partial sums, and `moments` or `add_gradients` add them
up. Everything is computed in fp32, whatever type the maps have; what is no number stays none.
"""

import triton
import triton.language as tl

from search_spaces.layers.pointwise import LEAKY_SLOPE

ROWS = 64
CHANNELS = 32
# Programs that share the rows of a block of channels, at most: as many partial sums are to be added up.
PARTS = 256
# Sizes that do not choose among compilations: one serves all maps whose channels come in sixteens or not.
SIZES = ["rows", "height", "width", "parts"]
_LEAKY_SLOPE = tl.constexpr(LEAKY_SLOPE)


@triton.jit
def _window(row, height, width, channels, IS_POOLED: tl.constexpr):
    """Return where in the full map the first position of each row's window lies (row itself, unpooled)."""
    if not IS_POOLED:
        return row.to(tl.int64) * channels
    half_height, half_width = height // 2, width // 2
    column = row % half_width
    line = (row // half_width) % half_height
    example = row // (half_width * half_height)
    return ((example.to(tl.int64) * height + 2 * line) * width + 2 * column) * channels


@triton.jit
def _largest(x, start, width, channels, mask):
    """Return the largest of four positions, or what is no number, and which it was: the first of equals."""
    largest = tl.load(x + start, mask, 0.0).to(tl.float32)
    argmax = tl.zeros_like(largest).to(tl.int32)
    for number in tl.static_range(1, 4):
        offset = ((number // 2) * width + number % 2) * channels
        other = tl.load(x + start + offset, mask, 0.0).to(tl.float32)
        is_larger = (other > largest) | (other != other)
        argmax = tl.where(is_larger, number, argmax)
        largest = tl.where(is_larger, other, largest)
    return largest, argmax


@triton.jit
def _activated(z, FUNCTION: tl.constexpr):
    """Return an activation and its derivative."""
    if FUNCTION == "relu":
        derivative = tl.where(z > 0, 1.0, 0.0)
        return z * derivative, derivative
    elif FUNCTION == "leaky_relu":
        derivative = tl.where(z > 0, 1.0, _LEAKY_SLOPE)
        return z * derivative, derivative
    elif FUNCTION == "elu":
        power = tl.exp(z)
        return tl.where(z > 0, z, power - 1), tl.where(z > 0, 1.0, power)
    elif FUNCTION == "silu":
        gate = tl.sigmoid(z)
        return z * gate, gate * (1 + z * (1 - gate))
    elif FUNCTION == "hard_swish":
        gate = tl.where(z > -3, tl.where(z < 3, z / 6 + 0.5, 1.0), 0.0)
        return z * gate, tl.where((z > -3) & (z < 3), z / 3 + 0.5, gate)
    elif FUNCTION == "gelu":
        share = 0.5 * (1 + tl.erf(z * 0.7071067811865476))
        return z * share, share + z * 0.3989422804014327 * tl.exp(-0.5 * z * z)
    else:
        tl.static_assert(FUNCTION == "none")
        return z, tl.full(z.shape, 1.0, tl.float32)


@triton.jit(do_not_specialize=SIZES)
def pool(
    x, pooled, argmax, sums, rows, height, width, channels, IS_POOLED: tl.constexpr, IS_SUMMED: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Pool a map and sum up what comes out, and its squares, less each channel's first value.

    Args:
        x: (B, H, W, C).
        pooled: (rows, C), and `argmax` (rows, C) of int8; neither is touched where `IS_POOLED` is false.
        sums: (parts, 2, C) of fp32, if `IS_SUMMED`.
    """
    part, parts = tl.program_id(0), tl.num_programs(0)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    if IS_SUMMED:
        # Sums of squares stay exact where a mean is far from zero.
        if IS_POOLED:
            first, _ = _largest(x, channel, width, channels, inside)
        else:
            first = tl.load(x + channel, inside, 0.0).to(tl.float32)
        total = tl.zeros((ROWS, CHANNELS), tl.float32)
        squares = tl.zeros((ROWS, CHANNELS), tl.float32)
    for tile in range(part, tl.cdiv(rows, ROWS), parts):
        row = tile * ROWS + tl.arange(0, ROWS)
        mask = (row < rows)[:, None] & inside[None, :]
        start = _window(row, height, width, channels, IS_POOLED)[:, None] + channel[None, :]
        if IS_POOLED:
            value, number = _largest(x, start, width, channels, mask)
            place = row.to(tl.int64)[:, None] * channels + channel[None, :]
            tl.store(pooled + place, value.to(pooled.dtype.element_ty), mask)
            tl.store(argmax + place, number.to(tl.int8), mask)
        else:
            value = tl.load(x + start, mask, 0.0).to(tl.float32)
        if IS_SUMMED:
            centred = tl.where(mask, value - first[None, :], 0.0)
            total += centred
            squares += centred * centred
    if IS_SUMMED:
        target = sums + part * 2 * channels + channel
        tl.store(target, tl.sum(total, 0), inside)
        tl.store(target + channels, tl.sum(squares, 0), inside)


@triton.jit(do_not_specialize=SIZES)
def moments(
    pooled, sums, statistics, running_mean, running_variance, batches, parts, rows, channels,
    momentum, epsilon, PARTS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Turn sums into `statistics` (2, C), mean and 1 / deviation, and move the running ones towards them."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    total, squares = _added(sums, parts, channel, channels, inside, PARTS, CHANNELS)
    shift = total / rows
    mean = tl.load(pooled + channel, inside, 0.0).to(tl.float32) + shift
    variance = squares / rows - shift * shift
    variance = tl.where(variance < 0, 0.0, variance)
    tl.store(statistics + channel, mean, inside)
    tl.store(statistics + channels + channel, 1 / tl.sqrt(variance + epsilon), inside)
    old = tl.load(running_mean + channel, inside, 0.0)
    tl.store(running_mean + channel, old + momentum * (mean - old), inside)
    old = tl.load(running_variance + channel, inside, 0.0)
    unbiased = variance * (rows / (rows - 1.0))
    tl.store(running_variance + channel, old + momentum * (unbiased - old), inside)
    if tl.program_id(0) == 0:
        tl.store(batches, tl.load(batches) + 1)


@triton.jit
def _added(sums, parts, channel, channels, inside, PARTS: tl.constexpr, CHANNELS: tl.constexpr):
    """Return both sums over all parts."""
    part = tl.arange(0, PARTS)
    mask = (part < parts)[:, None] & inside[None, :]
    place = sums + part[:, None] * 2 * channels + channel[None, :]
    return tl.sum(tl.load(place, mask, 0.0), 0), tl.sum(tl.load(place + channels, mask, 0.0), 0)


@triton.jit(do_not_specialize=SIZES)
def normalise(
    pooled, y, statistics, weight, bias, rows, channels, FUNCTION: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Normalise, scale and activate: (rows, C) to (rows, C)."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask = (row < rows)[:, None] & inside[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    _, scaled = _normalised(pooled, place, statistics, weight, bias, channel, channels, inside, mask)
    tl.store(y + place, _activated(scaled, FUNCTION)[0].to(y.dtype.element_ty), mask)


@triton.jit
def _normalised(pooled, place, statistics, weight, bias, channel, channels, inside, mask):
    """Return values of mean 0 and deviation 1, and the same scaled and shifted."""
    mean = tl.load(statistics + channel, inside, 0.0)
    inverse = tl.load(statistics + channels + channel, inside, 0.0)
    scale, shift = tl.load(weight + channel, inside, 0.0), tl.load(bias + channel, inside, 0.0)
    value = (tl.load(pooled + place, mask, 0.0).to(tl.float32) - mean[None, :]) * inverse[None, :]
    return value, value * scale[None, :] + shift[None, :]


@triton.jit(do_not_specialize=SIZES)
def sum_gradients(
    pooled, gradient, statistics, weight, bias, sums, rows, channels, FUNCTION: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Sum up gradients behind normalisation, and each times the normalised value: `sums` (parts, 2, C)."""
    part, parts = tl.program_id(0), tl.num_programs(0)
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    total = tl.zeros((ROWS, CHANNELS), tl.float32)
    products = tl.zeros((ROWS, CHANNELS), tl.float32)
    for tile in range(part, tl.cdiv(rows, ROWS), parts):
        row = tile * ROWS + tl.arange(0, ROWS)
        mask = (row < rows)[:, None] & inside[None, :]
        place = row.to(tl.int64)[:, None] * channels + channel[None, :]
        value, scaled = _normalised(pooled, place, statistics, weight, bias, channel, channels, inside, mask)
        of_scaled = tl.load(gradient + place, mask, 0.0).to(tl.float32) * _activated(scaled, FUNCTION)[1]
        # Beyond the last row a derivative need not be a number.
        of_scaled = tl.where(mask, of_scaled, 0.0)
        total += of_scaled
        products += of_scaled * value
    target = sums + part * 2 * channels + channel
    tl.store(target, tl.sum(total, 0), inside)
    tl.store(target + channels, tl.sum(products, 0), inside)


@triton.jit(do_not_specialize=SIZES)
def add_gradients(
    sums, of_weight, of_bias, parts, channels, PARTS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Add partial sums up: the gradients of the weight and the bias (C)."""
    channel = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    total, products = _added(sums, parts, channel, channels, inside, PARTS, CHANNELS)
    tl.store(of_bias + channel, total, inside)
    tl.store(of_weight + channel, products, inside)


@triton.jit(do_not_specialize=SIZES)
def input_gradient(
    pooled, argmax, gradient, of_x, statistics, weight, bias, of_weight, of_bias,
    rows, height, width, channels, IS_POOLED: tl.constexpr, IS_NORMALISED: tl.constexpr,
    FUNCTION: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the input (B, H, W, C): of a window only its largest position has one."""
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = channel < channels
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    mask = (row < rows)[:, None] & inside[None, :]
    place = row.to(tl.int64)[:, None] * channels + channel[None, :]
    of_pooled = tl.load(gradient + place, mask, 0.0).to(tl.float32)
    if IS_NORMALISED:
        value, scaled = _normalised(pooled, place, statistics, weight, bias, channel, channels, inside, mask)
        of_scaled = of_pooled * _activated(scaled, FUNCTION)[1]
        mean = tl.load(of_bias + channel, inside, 0.0) / rows
        product = tl.load(of_weight + channel, inside, 0.0) / rows
        inverse = tl.load(statistics + channels + channel, inside, 0.0)
        factor = tl.load(weight + channel, inside, 0.0) * inverse
        of_pooled = factor[None, :] * (of_scaled - mean[None, :] - value * product[None, :])
    if not IS_POOLED:
        tl.store(of_x + place, of_pooled.to(of_x.dtype.element_ty), mask)
    else:
        start = _window(row, height, width, channels, IS_POOLED)[:, None] + channel[None, :]
        largest = tl.load(argmax + place, mask, 0).to(tl.int32)
        for number in tl.static_range(4):
            offset = ((number // 2) * width + number % 2) * channels
            own = tl.where(largest == number, of_pooled, 0.0)
            tl.store(of_x + start + offset, own.to(of_x.dtype.element_ty), mask)
