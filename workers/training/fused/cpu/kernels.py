"""Numba kernels: 2x2 maximum pooling, batch normalisation and activation of maps with channels last.

A map (B, H, W, C) is flat memory, seen as rows of C channels; one of bfloat16 comes as uint16, which numpy
knows. Everything is computed in fp32, whatever type the maps have; what is no number stays none.

LLVM does not vectorise loops over a few channels well: it would ask before each whether arrays overlap. So
the innermost loops are built of vectors of some channels, its lanes. Where a row's channels do not come in so
many, the last vector overlaps the one before: what is computed twice is stored twice.

Numba keeps what it compiled until this file changes, so all that it is built of is in this file.
"""

from contextlib import contextmanager
from functools import cache

import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from search_spaces.layers.pointwise import LEAKY_SLOPE

# A row is passed at once where it can be, so that memory is read in its order; the four corners of a window
# fill the registers sooner.
WIDEST_ROW, WIDEST_WINDOW = 64, 16
# Rows that stay in the cache while one vector of each is passed after the other.
BLOCK = 64
# Activations that need no power, which torch computes faster than LLVM does.
FUNCTIONS = {"none": 0, "relu": 1, "leaky_relu": 2, "hard_swish": 3}
HAS_BF16 = get_host_cpu_features().get("avx512bf16", False)
OPTIONS = {"nogil": True, "cache": True, "error_model": "numpy"}


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite has no name for."""

    def _to_string(self):
        return "bfloat"

    def __eq__(self, other):
        return isinstance(other, _BFloat)

    def __hash__(self):
        return hash(_BFloat)


FLOAT, BFLOAT, BITS, SHORT, BYTE = ir.FloatType(), _BFloat(), ir.IntType(32), ir.IntType(16), ir.IntType(8)


class Value:
    """A vector of fp32 that the code under construction will have."""

    def __init__(self, builder, raw):
        self._builder, self.raw = builder, raw

    def __add__(self, other):
        return Value(self._builder, self._builder.fadd(self.raw, other.raw))

    def __sub__(self, other):
        return Value(self._builder, self._builder.fsub(self.raw, other.raw))

    def __mul__(self, other):
        return Value(self._builder, self._builder.fmul(self.raw, other.raw))

    def __gt__(self, other):
        return self._builder.fcmp_ordered(">", self.raw, other.raw)

    def is_nan(self):
        return self._builder.fcmp_unordered("uno", self.raw, self.raw)

    def where(self, condition, other):
        """Return this where the condition holds, and the other elsewhere."""
        return Value(self._builder, self._builder.select(condition, self.raw, other.raw))


class Lanes:
    """Builds code that computes so many channels at once."""

    def __init__(self, context, builder, lanes):
        self._context, self.builder, self._lanes = context, builder, lanes.literal_value

    def number(self, value):
        return Value(self.builder, self._constant(FLOAT, value))

    def byte(self, value):
        return self._constant(BYTE, value)

    def load(self, array, index):
        """Return what an array, a pair of its type and value, holds from an index on."""
        kind, size = _element(array)
        raw = self._loaded(array, index, kind, size)
        return Value(self.builder, raw if kind == FLOAT else self._widened(raw))

    def store(self, array, index, value):
        kind, size = _element(array)
        raw = value.raw if kind == FLOAT else self._narrowed(value)
        self.builder.store(raw, self._place(array, index, kind)).align = size

    def load_bytes(self, array, index):
        return self._loaded(array, index, BYTE, 1)

    def store_bytes(self, array, index, raw):
        self.builder.store(raw, self._place(array, index, BYTE)).align = 1

    def sums(self):
        """Return two vectors that are zero at first."""
        return [cgutils.alloca_once_value(self.builder, self._constant(FLOAT, 0.0)) for _ in range(2)]

    def add(self, sums, *values):
        for total, value in zip(sums, values, strict=True):
            self.builder.store(self.builder.fadd(self.builder.load(total), value.raw), total)

    def store_sums(self, array, where, sums):
        """Store two sums of some channels as (2, C)."""
        for index, total in zip((where.channel, where.plus(where.channel)), sums, strict=True):
            self.store(array, index, Value(self.builder, self.builder.load(total)))

    def _loaded(self, array, index, kind, size):
        raw = self.builder.load(self._place(array, index, kind), typ=self._vector(kind))
        raw.align = size
        return raw

    def _place(self, array, index, kind):
        of_type, value = array
        data = self._context.make_array(of_type)(self._context, self.builder, value=value).data
        return self.builder.bitcast(self.builder.gep(data, [index]), self._vector(kind).as_pointer())

    def _vector(self, kind):
        return ir.VectorType(kind, self._lanes)

    def _constant(self, kind, value):
        return ir.Constant(self._vector(kind), [value] * self._lanes)

    def _widened(self, raw):
        bits = self.builder.zext(raw, self._vector(BITS))
        return self.builder.bitcast(self.builder.shl(bits, self._constant(BITS, 16)), self._vector(FLOAT))

    def _narrowed(self, value):
        """Round to the nearest bfloat16, of two to the even one."""
        builder = self.builder
        if HAS_BF16:
            return builder.bitcast(builder.fptrunc(value.raw, self._vector(BFLOAT)), self._vector(SHORT))
        # Without the instruction LLVM would call a function that is not there.
        bits = builder.bitcast(value.raw, self._vector(BITS))
        odd = builder.and_(builder.lshr(bits, self._constant(BITS, 16)), self._constant(BITS, 1))
        rounded = builder.add(builder.add(bits, odd), self._constant(BITS, 0x7FFF))
        rounded = builder.lshr(rounded, self._constant(BITS, 16))
        # What is no number might be rounded to one.
        rounded = builder.select(value.is_nan(), self._constant(BITS, 0x7FC0), rounded)
        return builder.trunc(rounded, self._vector(SHORT))


class Where:
    """Which channel is the first of a vector, where it lies in a map, and how large the map is."""

    def __init__(self, builder, numbers):
        self._builder = builder
        self.channel, self.place, self.count, self.channels, *self._of_window = cgutils.unpack_tuple(
            builder, numbers
        )

    def plus(self, index):
        """Return an index's neighbour to the right: the next row."""
        return self._builder.add(index, self.channels)

    @contextmanager
    def rows(self):
        """Repeat what is built inside for each row; yields its index."""
        with cgutils.for_range(self._builder, self.count) as loop:
            yield self._moved(self.place, loop.index)

    @contextmanager
    def windows(self):
        """Repeat what is built inside for each 2x2 window of two lines; yields its index and its corners."""
        builder = self._builder
        start, width = self._of_window
        below = builder.mul(width, self.channels)
        with cgutils.for_range(builder, self.count) as loop:
            first = self._moved(start, builder.shl(loop.index, loop.index.type(1)))
            corners = [first, self.plus(first)]
            yield self._moved(self.place, loop.index), [*corners, *(builder.add(at, below) for at in corners)]

    def _moved(self, index, rows):
        return self._builder.add(index, self._builder.mul(rows, self.channels))


def _element(array):
    return (SHORT, 2) if array[0].dtype == types.uint16 else (FLOAT, 4)


def _arrays(builder, of_type, value):
    """Return the arrays of a tuple."""
    return list(zip(of_type, cgutils.unpack_tuple(builder, value), strict=True))


def _activated(lanes, z, function):
    """Return an activation and its derivative."""
    zero, one = lanes.number(0.0), lanes.number(1.0)
    if function == FUNCTIONS["none"]:
        return z, one
    if function == FUNCTIONS["hard_swish"]:
        three, half = lanes.number(3.0), lanes.number(0.5)
        gate = one.where(z > three, (z * lanes.number(1 / 6) + half).where(z > zero - three, zero))
        slope = one.where(z > three, (z * lanes.number(1 / 3) + half).where(z > zero - three, zero))
        return z * gate, slope
    slope = one.where(z > zero, zero if function == FUNCTIONS["relu"] else lanes.number(LEAKY_SLOPE))
    return z * slope, slope


def _gradients(lanes, x, gradient, vectors, where, function):
    """Return what gives, at an index, the gradient of what was normalised (arXiv:1502.03167, section 3).

    Of the vectors the last two are the means of the scaled map's gradient, and of its products with the
    normalised values, over the deviation.
    """
    mean, factor, shift, of_mean, of_product = (lanes.load(vector, where.channel) for vector in vectors)

    def gradient_at(index):
        centred = lanes.load(x, index) - mean
        slope = _activated(lanes, centred * factor + shift, function)[1]
        return factor * (lanes.load(gradient, index) * slope - of_mean - centred * of_product)

    return gradient_at


@intrinsic(prefer_literal=True)
def _pool_line(typing, x, pooled, argmax, first, sums, where, lanes, is_summed):
    """Pool two lines of a map to one; sum up what comes out, less `first`, and its squares."""

    def build(context, builder, signature, values):
        x, pooled, argmax, first, sums = zip(signature.args[:5], values[:5], strict=True)
        here, vector = Where(builder, values[5]), Lanes(context, builder, lanes)
        shift, totals = vector.load(first, here.channel) if is_summed.literal_value else None, vector.sums()
        with here.windows() as (index, corners):
            largest, number = vector.load(x, corners[0]), vector.byte(0)
            for other_number, corner in list(enumerate(corners))[1:]:
                other = vector.load(x, corner)
                # Of equals the first; what is no number is larger than all.
                is_larger = builder.or_(other > largest, other.is_nan())
                largest = other.where(is_larger, largest)
                number = builder.select(is_larger, vector.byte(other_number), number)
            vector.store(pooled, index, largest)
            vector.store_bytes(argmax, index, number)
            if shift is not None:
                centred = largest - shift
                vector.add(totals, centred, centred * centred)
        if shift is not None:
            vector.store_sums(sums, here, totals)
        return context.get_dummy_value()

    return types.void(x, pooled, argmax, first, sums, where, lanes, is_summed), build


@intrinsic(prefer_literal=True)
def _sum_rows(typing, x, first, sums, where, lanes):
    """Sum up rows, less `first`, and their squares."""

    def build(context, builder, signature, values):
        x, first, sums = zip(signature.args[:3], values[:3], strict=True)
        here, vector = Where(builder, values[3]), Lanes(context, builder, lanes)
        shift, totals = vector.load(first, here.channel), vector.sums()
        with here.rows() as index:
            centred = vector.load(x, index) - shift
            vector.add(totals, centred, centred * centred)
        vector.store_sums(sums, here, totals)
        return context.get_dummy_value()

    return types.void(x, first, sums, where, lanes), build


@intrinsic(prefer_literal=True)
def _normalise_rows(typing, x, y, vectors, where, lanes, function):
    """Normalise, scale and activate rows."""

    def build(context, builder, signature, values):
        x, y = zip(signature.args[:2], values[:2], strict=True)
        here, vector = Where(builder, values[3]), Lanes(context, builder, lanes)
        own = _arrays(builder, signature.args[2], values[2])
        mean, factor, shift = (vector.load(one, here.channel) for one in own)
        with here.rows() as index:
            z = (vector.load(x, index) - mean) * factor + shift
            vector.store(y, index, _activated(vector, z, function.literal_value)[0])
        return context.get_dummy_value()

    return types.void(x, y, vectors, where, lanes, function), build


@intrinsic(prefer_literal=True)
def _sum_gradient_rows(typing, x, gradient, vectors, sums, where, lanes, function):
    """Sum up gradients before the activation, and each times its centred value."""

    def build(context, builder, signature, values):
        x, gradient, _, sums = zip(signature.args[:4], values[:4], strict=True)
        here, vector = Where(builder, values[4]), Lanes(context, builder, lanes)
        own = _arrays(builder, signature.args[2], values[2])
        mean, factor, shift = (vector.load(one, here.channel) for one in own)
        totals = vector.sums()
        with here.rows() as index:
            centred = vector.load(x, index) - mean
            slope = _activated(vector, centred * factor + shift, function.literal_value)[1]
            of_z = vector.load(gradient, index) * slope
            vector.add(totals, of_z, of_z * centred)
        vector.store_sums(sums, here, totals)
        return context.get_dummy_value()

    return types.void(x, gradient, vectors, sums, where, lanes, function), build


@intrinsic(prefer_literal=True)
def _gradient_rows(typing, x, gradient, vectors, of_x, where, lanes, function):
    """Write the gradient of what was normalised."""

    def build(context, builder, signature, values):
        x, gradient, _, of_x = zip(signature.args[:4], values[:4], strict=True)
        here, vector = Where(builder, values[4]), Lanes(context, builder, lanes)
        own = _arrays(builder, signature.args[2], values[2])
        gradient_at = _gradients(vector, x, gradient, own, here, function.literal_value)
        with here.rows() as index:
            vector.store(of_x, index, gradient_at(index))
        return context.get_dummy_value()

    return types.void(x, gradient, vectors, of_x, where, lanes, function), build


@intrinsic(prefer_literal=True)
def _unpool_line(typing, x, gradient, vectors, argmax, of_x, where, lanes, function, is_normalised):
    """Write the gradient of two lines that were pooled: of a window only its largest corner has one."""

    def build(context, builder, signature, values):
        x, gradient, _, argmax, of_x = zip(signature.args[:5], values[:5], strict=True)
        here, vector = Where(builder, values[5]), Lanes(context, builder, lanes)
        gradient_at = None
        if is_normalised.literal_value:
            own = _arrays(builder, signature.args[2], values[2])
            gradient_at = _gradients(vector, x, gradient, own, here, function.literal_value)
        with here.windows() as (index, corners):
            of_pooled = gradient_at(index) if gradient_at else vector.load(gradient, index)
            largest = vector.load_bytes(argmax, index)
            for number, corner in enumerate(corners):
                is_largest = builder.icmp_unsigned("==", largest, vector.byte(number))
                vector.store(of_x, corner, of_pooled.where(is_largest, vector.number(0.0)))
        return context.get_dummy_value()

    return types.void(x, gradient, vectors, argmax, of_x, where, lanes, function, is_normalised), build


def lanes_of(channels: int, widest: int) -> int:
    """Return how many channels are computed at once: a power of two."""
    return min(widest, 1 << (channels.bit_length() - 1))


@cache
def pool(lanes, is_summed):
    """Return the kernel of (x, pooled, argmax, first, sums, height, width, channels)."""

    @njit(**OPTIONS)
    def kernel(x, pooled, argmax, first, sums, height, width, channels):
        partial = np.zeros(2 * channels, np.float32)
        lines, columns = height // 2, width // 2
        length = columns * channels
        for line in range(len(pooled) // length):
            start = ((line // lines) * height + 2 * (line % lines)) * width * channels
            for first_channel in range(0, channels, lanes):
                channel = min(first_channel, channels - lanes)
                where = (channel, line * length + channel, columns, channels, start + channel, width)
                _pool_line(x, pooled, argmax, first, partial, where, lanes, is_summed)
            if is_summed:
                sums += partial

    return kernel


@cache
def sum_up(lanes):
    """Return the kernel of (x, first, sums, channels)."""

    @njit(**OPTIONS)
    def kernel(x, first, sums, channels):
        partial = np.zeros(2 * channels, np.float32)
        rows = len(x) // channels
        for begin in range(0, rows, BLOCK):
            for first_channel in range(0, channels, lanes):
                channel = min(first_channel, channels - lanes)
                where = (channel, begin * channels + channel, min(BLOCK, rows - begin), channels)
                _sum_rows(x, first, partial, where, lanes)
            sums += partial

    return kernel


@cache
def normalise(lanes, function):
    """Return the kernel of (x, y, (mean, factor, shift), channels)."""

    @njit(**OPTIONS)
    def kernel(x, y, vectors, channels):
        rows = len(x) // channels
        for begin in range(0, rows, BLOCK):
            for first_channel in range(0, channels, lanes):
                channel = min(first_channel, channels - lanes)
                where = (channel, begin * channels + channel, min(BLOCK, rows - begin), channels)
                _normalise_rows(x, y, vectors, where, lanes, function)

    return kernel


@cache
def sum_gradients(lanes, function):
    """Return the kernel of (x, gradient, (mean, factor, shift), sums, channels)."""

    @njit(**OPTIONS)
    def kernel(x, gradient, vectors, sums, channels):
        partial = np.zeros(2 * channels, np.float32)
        rows = len(x) // channels
        for begin in range(0, rows, BLOCK):
            for first_channel in range(0, channels, lanes):
                channel = min(first_channel, channels - lanes)
                where = (channel, begin * channels + channel, min(BLOCK, rows - begin), channels)
                _sum_gradient_rows(x, gradient, vectors, partial, where, lanes, function)
            sums += partial

    return kernel


@cache
def input_gradient(lanes, function):
    """Return the kernel of (x, gradient, (mean, factor, shift, of_mean, of_product), of_x, channels)."""

    @njit(**OPTIONS)
    def kernel(x, gradient, vectors, of_x, channels):
        rows = len(x) // channels
        for begin in range(0, rows, BLOCK):
            for first_channel in range(0, channels, lanes):
                channel = min(first_channel, channels - lanes)
                where = (channel, begin * channels + channel, min(BLOCK, rows - begin), channels)
                _gradient_rows(x, gradient, vectors, of_x, where, lanes, function)

    return kernel


@cache
def unpool(lanes, function, is_normalised):
    """Return the kernel of (pooled, gradient, vectors, argmax, of_x, height, width, channels)."""

    @njit(**OPTIONS)
    def kernel(pooled, gradient, vectors, argmax, of_x, height, width, channels):
        lines, columns = height // 2, width // 2
        length = columns * channels
        for line in range(len(gradient) // length):
            start = ((line // lines) * height + 2 * (line % lines)) * width * channels
            for first_channel in range(0, channels, lanes):
                channel = min(first_channel, channels - lanes)
                where = (channel, line * length + channel, columns, channels, start + channel, width)
                _unpool_line(pooled, gradient, vectors, argmax, of_x, where, lanes, function, is_normalised)

    return kernel
