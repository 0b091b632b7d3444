"""The operation on a processor, by kernels of its own, which LLVM compiles."""
