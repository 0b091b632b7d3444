"""The operation on a processor, by numba."""
