"""Functions built as LLVM's code, compiled for this processor and called with addresses and sizes."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir

SIZE, ADDRESS = ir.IntType(64), ir.PointerType()
Kernel = Callable[..., None]
# How hard LLVM tries to make code fast, of 3. Its passes find nothing more here in a third more time.
EFFORT_OF_PASSES, EFFORT_OF_MACHINE = 1, 3


class Size:
    """A whole number that the code under construction will have."""

    def __init__(self, builder: Any, raw: Any) -> None:
        self._builder, self.raw = builder, raw

    def __add__(self, other: "Size | int") -> "Size":
        return self._made(self._builder.add, other)

    def __sub__(self, other: "Size | int") -> "Size":
        return self._made(self._builder.sub, other)

    def __mul__(self, other: "Size | int") -> "Size":
        return self._made(self._builder.mul, other)

    def __floordiv__(self, other: "Size | int") -> "Size":
        return self._made(self._builder.udiv, other)

    def __mod__(self, other: "Size | int") -> "Size":
        return self._made(self._builder.urem, other)

    def at_most(self, other: "Size | int") -> "Size":
        """Return the smaller one."""
        return self._made(self._smaller, other)

    def _smaller(self, one: Any, other: Any) -> Any:
        return self._builder.select(self._builder.icmp_signed("<", one, other), one, other)

    def _made(self, operation: Callable[[Any, Any], Any], other: "Size | int") -> "Size":
        raw = other.raw if isinstance(other, Size) else ir.Constant(SIZE, other)
        return Size(self._builder, operation(self.raw, raw))


class Code:
    """A function under construction.

    Args:
        addresses: Names of its arguments that are memory; none overlaps another.
        sizes: Names of the arguments after them, which are whole numbers.
    """

    def __init__(self, addresses: Sequence[str], sizes: Sequence[str]) -> None:
        self._module = ir.Module()
        kinds = [ADDRESS] * len(addresses) + [SIZE] * len(sizes)
        self._function = ir.Function(self._module, ir.FunctionType(ir.VoidType(), kinds), "kernel")
        self.builder = ir.IRBuilder(self._function.append_basic_block())
        given = dict(zip((*addresses, *sizes), self._function.args, strict=True))
        self.addresses = {name: given[name] for name in addresses}
        self.sizes = {name: Size(self.builder, given[name]) for name in sizes}
        for argument in self.addresses.values():
            argument.add_attribute("noalias")

    def variable(self, kind: Any) -> Any:
        """Return the address of a value that changes."""
        # In the first block, from where LLVM makes a register of it.
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind)

    @contextmanager
    def counted(self, end: Size, by: int = 1) -> Iterator[Size]:
        """Repeat what is built inside for 0, `by`, 2 `by` and so on below an end; yields the number."""
        builder = self.builder
        before = builder.block
        head, body, after = (self._function.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        number = builder.phi(SIZE)
        number.add_incoming(ir.Constant(SIZE, 0), before)
        builder.cbranch(builder.icmp_signed("<", number, end.raw), body, after)
        builder.position_at_end(body)
        counter = Size(builder, number)
        yield counter
        following = (counter + by).raw
        number.add_incoming(following, builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    def compiled(self) -> Kernel:
        """Return what runs it on whole numbers, without Python's lock."""
        self.builder.ret_void()
        module, machine = binding.parse_assembly(str(self._module)), _machine()
        passes = binding.create_pass_builder(
            machine, binding.create_pipeline_tuning_options(EFFORT_OF_PASSES)
        )
        passes.getModulePassManager().run(module, passes)
        engine = binding.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        kinds = [ctypes.c_void_p] * len(self.addresses) + [ctypes.c_int64] * len(self.sizes)
        run: Any = ctypes.CFUNCTYPE(None, *kinds)(engine.get_function_address(self._function.name))
        # What was compiled is there for as long as its engine is.
        run.engine = engine
        kernel: Kernel = run
        return kernel


def _machine() -> Any:
    """Return this processor, with all that it can do; who runs code of it owns it."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(),
        features=binding.get_host_cpu_features().flatten(),
        opt=EFFORT_OF_MACHINE,
        codemodel="jitdefault",
        jit=True,
    )
