"""Vectors of fp32 in code under construction, and how they are read from maps and written to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features

from workers.training.fused.cpu.compiling import Code, Size

HAS_BF16 = get_host_cpu_features().get("avx512bf16", False)


class _BFloat(ir.Type):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat)

    def __hash__(self) -> int:
        return hash(_BFloat)


FLOAT, BFLOAT, BITS, SHORT, BYTE = ir.FloatType(), _BFloat(), ir.IntType(32), ir.IntType(16), ir.IntType(8)
# In bytes: maps may begin anywhere.
ALIGNMENT = {FLOAT: 4, SHORT: 2, BYTE: 1}


@dataclass(frozen=True, slots=True)
class Memory:
    """Numbers that lie behind one another: FLOAT, BYTE, or SHORT for bfloat16."""

    address: Any
    kind: Any


class Vector:
    """Some fp32 numbers, or bytes, that the code will have."""

    def __init__(self, builder: Any, raw: Any) -> None:
        self._builder, self.raw = builder, raw

    def __add__(self, other: "Vector") -> "Vector":
        return Vector(self._builder, self._builder.fadd(self.raw, other.raw))

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self._builder, self._builder.fsub(self.raw, other.raw))

    def __mul__(self, other: "Vector") -> "Vector":
        return Vector(self._builder, self._builder.fmul(self.raw, other.raw))

    def __gt__(self, other: "Vector") -> Any:
        return self._builder.fcmp_ordered(">", self.raw, other.raw)

    def is_nan(self) -> Any:
        return self._builder.fcmp_unordered("uno", self.raw, self.raw)

    def exceeds(self, other: "Vector") -> Any:
        """Return where this is larger, or no number."""
        return self._builder.or_(self > other, self.is_nan())

    def equals(self, other: "Vector") -> Any:
        """Return where bytes are the same."""
        return self._builder.icmp_unsigned("==", self.raw, other.raw)

    def where(self, condition: Any, other: "Vector") -> "Vector":
        """Return this where the condition holds, and the other elsewhere."""
        return Vector(self._builder, self._builder.select(condition, self.raw, other.raw))


class Lanes:
    """Builds code that computes so many channels at once."""

    def __init__(self, code: Code, lanes: int) -> None:
        self._code, self._builder, self._lanes = code, code.builder, lanes

    def number(self, value: float) -> Vector:
        return Vector(self._builder, self._constant(FLOAT, value))

    def byte(self, value: int) -> Vector:
        return Vector(self._builder, self._constant(BYTE, value))

    def load(self, memory: Memory, index: Size) -> Vector:
        """Return what lies in memory from an index on."""
        raw = self._builder.load(self._place(memory, index), typ=self._vector(memory.kind))
        raw.align = ALIGNMENT[memory.kind]
        return Vector(self._builder, self._widened(raw) if memory.kind == SHORT else raw)

    def store(self, memory: Memory, index: Size, value: Vector) -> None:
        raw = self._narrowed(value) if memory.kind == SHORT else value.raw
        self._builder.store(raw, self._place(memory, index)).align = ALIGNMENT[memory.kind]

    def zeros(self, count: int) -> list[Any]:
        """Return addresses of sums, which are zero whenever this is passed."""
        sums = [self._code.variable(self._vector(FLOAT)) for _ in range(count)]
        for total in sums:
            self._builder.store(self._constant(FLOAT, 0.0), total)
        return sums

    def add(self, sums: Sequence[Any], *values: Vector) -> None:
        for total, value in zip(sums, values, strict=True):
            self._builder.store((self.total(total) + value).raw, total)

    def total(self, address: Any) -> Vector:
        return Vector(self._builder, self._builder.load(address, typ=self._vector(FLOAT)))

    def _place(self, memory: Memory, index: Size) -> Any:
        return self._builder.gep(memory.address, [index.raw], source_etype=memory.kind)

    def _vector(self, kind: Any) -> Any:
        return ir.VectorType(kind, self._lanes)

    def _constant(self, kind: Any, value: float) -> Any:
        return ir.Constant(self._vector(kind), [value] * self._lanes)

    def _widened(self, raw: Any) -> Any:
        bits = self._builder.zext(raw, self._vector(BITS))
        return self._builder.bitcast(self._builder.shl(bits, self._constant(BITS, 16)), self._vector(FLOAT))

    def _narrowed(self, value: Vector) -> Any:
        """Round to the nearest bfloat16, of two to the even one."""
        builder = self._builder
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
