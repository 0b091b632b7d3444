"""Passes over maps, which each kernel makes one of: by rows of channels, or by windows of two lines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from workers.training.fused.cpu.compiling import Code, Kernel, Size
from workers.training.fused.cpu.vectors import BYTE, FLOAT, SHORT, Lanes, Memory, Vector

# Rows that stay in the cache while one vector of each is passed after the other.
BLOCK = 64
MAPS, BYTES = ("x", "y", "gradient", "of_x"), ("argmax",)
ROWS, LINES = ("rows", "channels"), ("lines", "height", "width", "channels")


class Pass:
    """A kernel under construction that passes maps of C channels.

    Args:
        addresses: Names of what is read and written: MAPS in the maps' type, BYTES in bytes, all else in
            fp32. With "sums" comes "partial", both (2, C): what is left there is added to "sums" after each
            block of rows or pair of lines.
        sizes: ROWS or LINES; `lines` are those of all pooled maps together, height and width the full map's.
        is_bf16: Whether maps are bfloat16, or fp32.
        lanes: How many channels are computed at once.
    """

    def __init__(self, addresses: Sequence[str], sizes: Sequence[str], *, is_bf16: bool, lanes: int) -> None:
        self._code = Code(addresses, sizes)
        self.lanes, self._width = Lanes(self._code, lanes), lanes
        kinds = dict.fromkeys(MAPS, SHORT if is_bf16 else FLOAT) | dict.fromkeys(BYTES, BYTE)
        self._memory = {
            name: Memory(address, kinds.get(name, FLOAT)) for name, address in self._code.addresses.items()
        }

    def __getitem__(self, name: str) -> Memory:
        return self._memory[name]

    @property
    def channels(self) -> Size:
        return self._code.sizes["channels"]

    @contextmanager
    def blocks(self) -> Iterator["Rows"]:
        """Repeat what is built inside for each block of rows and each vector of their channels."""
        rows = self._code.sizes["rows"]
        with self._code.counted(rows, BLOCK) as begin:
            with self._vectors() as channel:
                yield Rows(self, channel, begin * self.channels + channel, (rows - begin).at_most(BLOCK))
            self._add_up()

    @contextmanager
    def lines(self) -> Iterator["Windows"]:
        """Repeat what is built inside for each pair of lines and each vector of their channels."""
        sizes = self._code.sizes
        height, width, channels = sizes["height"], sizes["width"], self.channels
        columns, of_map = width // 2, height // 2
        with self._code.counted(sizes["lines"]) as line:
            upper = (line // of_map) * height + (line % of_map) * 2
            with self._vectors() as channel:
                place, start = line * columns * channels + channel, upper * width * channels + channel
                yield Windows(self, channel, place, columns, start, width * channels)
            self._add_up()

    def numbers(self, name: str, channel: Size, count: int) -> list[Vector]:
        """Return of (count, C) those of the channels from one on."""
        return [self.lanes.load(self[name], channel + self.channels * index) for index in range(count)]

    def leave(self, channel: Size, sums: Sequence[Any]) -> None:
        """Store two sums of the channels from one on, of the present rows."""
        for index, total in enumerate(sums):
            self.lanes.store(self["partial"], channel + self.channels * index, self.lanes.total(total))

    def count(self, end: Size) -> Any:
        return self._code.counted(end)

    def compiled(self) -> Kernel:
        return self._code.compiled()

    @contextmanager
    def _vectors(self) -> Iterator[Size]:
        with self._code.counted(self.channels, self._width) as first:
            yield first.at_most(self.channels - self._width)

    def _add_up(self) -> None:
        if "sums" not in self._memory:
            return
        one = Lanes(self._code, 1)
        with self._code.counted(self.channels * 2) as index:
            total, part = (one.load(self[name], index) for name in ("sums", "partial"))
            one.store(self["sums"], index, total + part)


class Rows:
    """One vector of some rows: its first channel, and where that lies in the first row."""

    def __init__(self, of: Pass, channel: Size, place: Size, count: Size) -> None:
        self._of, self.channel, self._place, self._count = of, channel, place, count

    @contextmanager
    def each(self) -> Iterator[Size]:
        """Repeat what is built inside for each row; yields its index."""
        with self._of.count(self._count) as row:
            yield self._place + row * self._of.channels


class Windows:
    """One vector of a line of 2x2 windows: its first channel, and where that lies, pooled and not."""

    def __init__(
        self, of: Pass, channel: Size, place: Size, count: Size, start: Size, line_length: Size
    ) -> None:
        self._of, self.channel, self._place, self._count = of, channel, place, count
        self._start, self._line_length = start, line_length

    @contextmanager
    def each(self) -> Iterator[tuple[Size, list[Size]]]:
        """Repeat what is built inside for each window; yields its index and its corners'."""
        channels = self._of.channels
        with self._of.count(self._count) as column:
            first = self._start + column * 2 * channels
            corners = [first, first + channels]
            corners += [corner + self._line_length for corner in corners]
            yield self._place + column * channels, corners
